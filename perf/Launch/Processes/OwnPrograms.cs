namespace VmShunt.Perf.Launch;

/// <summary>
/// Where the programs of this project are: beside this one. VMSHUNT_HOST and VMSHUNT_HYPERVISOR name another binary, such as
/// the native one of a package.
/// </summary>
internal static class OwnPrograms
{
    /// <returns>The path of a program.</returns>
    /// <param name="name">Its name.</param>
    internal static string Find(string name) => Find(name, AppContext.BaseDirectory);

    /// <returns>The path of a program. In another folder than this program's, the variables have no effect.</returns>
    /// <param name="name">Its name.</param>
    /// <param name="folder">Where it is.</param>
    internal static string Find(string name, string folder) =>
        folder == AppContext.BaseDirectory && VariableOf(name) is { } variable && Environment.GetEnvironmentVariable(variable) is { Length: > 0 } path
            ? path
            : Path.Combine(folder, name);

    private static string? VariableOf(string name) => name switch
    {
        "vmshunt-host" => "VMSHUNT_HOST",
        "vmshunt-hypervisor" => "VMSHUNT_HYPERVISOR",
        _ => null,
    };
}
