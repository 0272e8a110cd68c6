using Mono.Cecil;
using Mono.Cecil.Cil;

namespace VmShunt.Perf.House;

/// <summary>One use of a folder by another.</summary>
/// <param name="From">The folder that uses, relative to the repository's root.</param>
/// <param name="To">The folder that is used.</param>
/// <param name="Through">Which types: user and used, as "User → Used".</param>
internal sealed record FolderUse(string From, string To, IReadOnlySet<string> Through);

/// <summary>
/// Which source folders use which, read from built assemblies: each type's references, resolved to the folder that
/// its PDB names. Constants leave no trace in an assembly, so a folder that is used for its constants alone is not seen.
/// </summary>
internal sealed class FolderGraph
{
    private readonly Dictionary<string, string> _folderOfType = [];
    private readonly Dictionary<(string From, string To), HashSet<string>> _uses = [];

    /// <summary>Folders with their uses, in no order.</summary>
    internal IEnumerable<FolderUse> Uses => _uses.Select(static pair => new FolderUse(pair.Key.From, pair.Key.To, pair.Value));

    /// <summary>All folders that hold a type.</summary>
    internal IEnumerable<string> Folders => _folderOfType.Values.Distinct();

    /// <summary>Types and the files that hold them.</summary>
    internal int Types => _folderOfType.Count;

    /// <summary>Reads assemblies.</summary>
    /// <param name="assemblies">Their paths; each with its PDB beside it.</param>
    /// <param name="root">The repository's root.</param>
    internal static FolderGraph Read(IEnumerable<string> assemblies, string root)
    {
        var graph = new FolderGraph();
        var modules = new List<ModuleDefinition>();
        try
        {
            foreach (var assembly in assemblies.Where(static file => File.Exists(Path.ChangeExtension(file, ".pdb"))))
            {
                var module = ModuleDefinition.ReadModule(assembly);
                modules.Add(module);
                var files = SourceFolders.Read(assembly, root);
                foreach (var type in module.GetTypes())
                {
                    // A nested type is where the type around it is.
                    var outer = Outermost(type);
                    if (files.TryFind((int)outer.MetadataToken.RID, out var file) && file.StartsWith("src/", StringComparison.Ordinal)) graph._folderOfType[NameOf(outer)] = Path.GetDirectoryName(file)!;
                }
            }
            foreach (var type in modules.SelectMany(static module => module.GetTypes())) graph.Add(type);
            return graph;
        }
        finally
        {
            foreach (var module in modules) module.Dispose();
        }
    }

    /// <summary>Groups of folders that use each other in a circle.</summary>
    internal IReadOnlyList<IReadOnlyList<string>> Cycles()
    {
        var reach = Folders.ToDictionary(static folder => folder, folder => Reach(folder));
        return [.. reach.Keys
            .Where(folder => reach[folder].Contains(folder))
            .GroupBy(folder => string.Join('|', reach[folder].Where(other => reach[other].Contains(folder)).Order(StringComparer.Ordinal)))
            .Select(static group => (IReadOnlyList<string>)[.. group.Order(StringComparer.Ordinal)])];
    }

    private HashSet<string> Reach(string start)
    {
        var seen = new HashSet<string>();
        var open = new Queue<string>([start]);
        while (open.TryDequeue(out var folder))
        {
            foreach (var (from, to) in _uses.Keys)
            {
                if (from == folder && seen.Add(to)) open.Enqueue(to);
            }
        }
        return seen;
    }

    // Several programs have a type of the same name, such as Program.
    private static string NameOf(TypeReference type) =>
        $"{(type.Scope is ModuleDefinition module ? module.Assembly.Name.Name : type.Scope.Name)} {type.FullName}";

    private static TypeDefinition Outermost(TypeDefinition type)
    {
        while (type.DeclaringType is { } outer) type = outer;
        return type;
    }

    private void Add(TypeDefinition type)
    {
        var user = NameOf(Outermost(type));
        if (!_folderOfType.ContainsKey(user)) return;
        Use(user, type.BaseType);
        foreach (var implemented in type.Interfaces) Use(user, implemented.InterfaceType);
        foreach (var field in type.Fields) Use(user, field.FieldType);
        foreach (var parameter in type.GenericParameters) Constraints(user, parameter);
        foreach (var method in type.Methods)
        {
            Signature(user, method);
            foreach (var parameter in method.GenericParameters) Constraints(user, parameter);
            if (!method.HasBody) continue;
            foreach (var local in method.Body.Variables) Use(user, local.VariableType);
            foreach (var handler in method.Body.ExceptionHandlers) Use(user, handler.CatchType);
            foreach (var instruction in method.Body.Instructions) Operand(user, instruction);
        }
    }

    private void Operand(string user, Instruction instruction)
    {
        switch (instruction.Operand)
        {
            case MethodReference method:
                Use(user, method.DeclaringType);
                Signature(user, method);
                if (method is GenericInstanceMethod generic)
                    foreach (var argument in generic.GenericArguments) Use(user, argument);
                break;
            case FieldReference field:
                Use(user, field.DeclaringType);
                Use(user, field.FieldType);
                break;
            case TypeReference used:
                Use(user, used);
                break;
        }
    }

    private void Signature(string user, MethodReference method)
    {
        Use(user, method.ReturnType);
        foreach (var parameter in method.Parameters) Use(user, parameter.ParameterType);
    }

    private void Constraints(string user, GenericParameter parameter)
    {
        foreach (var constraint in parameter.Constraints) Use(user, constraint.ConstraintType);
    }

    private void Use(string user, TypeReference? used)
    {
        if (used is null) return;
        if (used is GenericInstanceType generic)
            foreach (var argument in generic.GenericArguments) Use(user, argument);
        if (used is IModifierType modified) Use(user, modified.ModifierType);
        var element = used.GetElementType();
        while (element.DeclaringType is { } outer) element = outer;
        if (!_folderOfType.TryGetValue(NameOf(element), out var to) || _folderOfType[user] is var from && from == to) return;
        if (!_uses.TryGetValue((from, to), out var through)) _uses.Add((from, to), through = []);
        through.Add($"{user[(user.LastIndexOf('.') + 1)..]} → {element.Name}");
    }
}
