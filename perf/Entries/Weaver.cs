using Mono.Cecil;
using Mono.Cecil.Cil;
using Mono.Cecil.Rocks;
using VmShunt.EntryHook;

namespace VmShunt.Perf.Entries;

/// <summary>Puts a call of <see cref="EntryCounter.Hit"/> at the start of every method of ours in copies of assemblies.</summary>
internal sealed class Weaver
{
    private readonly List<CountedMethod> _methods = [];

    /// <summary>All that was woven; a method's number is its place here.</summary>
    internal IReadOnlyList<CountedMethod> Methods => _methods;

    /// <summary>Weaves an assembly in place; its PDB lies beside it.</summary>
    internal void Weave(string assembly)
    {
        using var resolver = new DefaultAssemblyResolver();
        resolver.AddSearchDirectory(Path.GetDirectoryName(assembly));
        // Read whole, so that the file can be replaced.
        using var module = ModuleDefinition.ReadModule(new MemoryStream(File.ReadAllBytes(assembly)), new ReaderParameters
        {
            AssemblyResolver = resolver,
            ReadSymbols = true,
            SymbolReaderProvider = new PortablePdbReaderProvider(),
            SymbolStream = new MemoryStream(File.ReadAllBytes(Path.ChangeExtension(assembly, ".pdb"))),
        });
        var hit = module.ImportReference(typeof(EntryCounter).GetMethod(nameof(EntryCounter.Hit)));
        foreach (var method in module.GetTypes().SelectMany(static type => type.Methods))
        {
            if (!method.HasBody || SourceOf(method) is not { } file || IsNativeCallback(method)) continue;
            method.Body.SimplifyMacros();
            var il = method.Body.GetILProcessor();
            var first = method.Body.Instructions[0];
            il.InsertBefore(first, il.Create(OpCodes.Ldc_I4, _methods.Count));
            il.InsertBefore(first, il.Create(OpCodes.Call, hit));
            method.Body.OptimizeMacros();
            _methods.Add(new CountedMethod($"{method.DeclaringType.FullName}.{method.Name}", file, method.IsGetter || method.IsSetter));
        }
        module.Write(assembly);
    }

    // What source generators wrote is not ours: its documents lie in obj or in no folder at all.
    private static string? SourceOf(MethodDefinition method)
    {
        var path = method.DebugInformation.SequencePoints.FirstOrDefault()?.Document.Url.Replace('\\', '/');
        if (path is null || path.Contains("/obj/", StringComparison.Ordinal) || path.LastIndexOf("/src/", StringComparison.Ordinal) is not (>= 0 and var at)) return null;
        return path[(at + 1)..];
    }

    // Called by the kernel or libc on threads where the runtime may not be entered by a call that was woven in.
    private static bool IsNativeCallback(MethodDefinition method) =>
        method.CustomAttributes.Any(static attribute => attribute.AttributeType.Name == "UnmanagedCallersOnlyAttribute");
}
