using System.Diagnostics.CodeAnalysis;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;

namespace VmShunt.Perf.House;

/// <summary>Which source file each type of an assembly was compiled from, as its portable PDB says. One assembly; one thread.</summary>
internal sealed class SourceFolders
{
    // The compiler records here the documents of types that have no method bodies ("TypeDefinitionDocuments").
    private static readonly Guid s_typeDocuments = new("932E74BC-DBA9-4478-8D46-0F32A7BAB3D3");

    private readonly Dictionary<int, string> _files = [];

    private SourceFolders()
    {
    }

    /// <summary>Reads the PDB beside an assembly.</summary>
    /// <param name="assembly">The assembly's path.</param>
    /// <param name="root">The repository's root: file names become relative to it, with forward slashes.</param>
    /// <exception cref="IOException">There is no PDB.</exception>
    internal static SourceFolders Read(string assembly, string root)
    {
        var result = new SourceFolders();
        using var pdb = MetadataReaderProvider.FromPortablePdbStream(File.OpenRead(Path.ChangeExtension(assembly, ".pdb")));
        using var image = new System.Reflection.PortableExecutable.PEReader(File.OpenRead(assembly));
        MetadataReader symbols = pdb.GetMetadataReader(), types = image.GetMetadataReader();
        foreach (var handle in types.TypeDefinitions)
        {
            var row = MetadataTokens.GetRowNumber(handle);
            foreach (var method in types.GetTypeDefinition(handle).GetMethods())
                result.Note(row, symbols, symbols.GetMethodDebugInformation(method.ToDebugInformationHandle()).Document, root);
            foreach (var info in symbols.GetCustomDebugInformation(handle).Select(symbols.GetCustomDebugInformation))
            {
                if (symbols.GetGuid(info.Kind) != s_typeDocuments) continue;
                var blob = symbols.GetBlobReader(info.Value);
                while (blob.RemainingBytes > 0) result.Note(row, symbols, MetadataTokens.DocumentHandle(blob.ReadCompressedInteger()), root);
            }
        }
        return result;
    }

    /// <summary>The file of a type by its metadata row; generated types have none of ours.</summary>
    internal bool TryFind(int row, [NotNullWhen(true)] out string? file) => _files.TryGetValue(row, out file);

    private void Note(int row, MetadataReader symbols, DocumentHandle document, string root)
    {
        if (document.IsNil || _files.ContainsKey(row)) return;
        var path = Path.GetRelativePath(root, symbols.GetString(symbols.GetDocument(document).Name)).Replace('\\', '/');
        // What source generators wrote lies in obj or in no folder at all.
        if (!path.StartsWith("..", StringComparison.Ordinal) && !path.Contains("/obj/", StringComparison.Ordinal)) _files.Add(row, path);
    }
}
