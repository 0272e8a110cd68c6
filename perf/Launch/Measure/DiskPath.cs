namespace VmShunt.Perf.Measure;

/// <summary>The paths to the disk, slowest first.</summary>
internal static class DiskPath
{
    internal const string Trap = "trap", Alternate = "alternate", Shunted = "shunted", Ring = "ring", Direct = "direct";

    internal static IReadOnlyList<string> All { get; } = [Trap, Alternate, Shunted, Ring, Direct];

    /// <summary>The guest's mode in which the path exists.</summary>
    internal static string Mode(string path) => path switch
    {
        Trap => "emulating",
        Alternate => "alternate",
        _ => "enlightened",
    };

    /// <summary>The stack that the application uses on the path.</summary>
    internal static string Stack(string path) => path == Ring ? "enlightened" : "emulating";
}
