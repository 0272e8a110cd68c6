namespace VmShunt.Perf.Measure;

/// <summary>The roads to the disk, slowest first.</summary>
internal static class DiskPath
{
    internal const string Trap = "trap", Alternate = "alternate", Shunted = "shunted", Ring = "ring", Direct = "direct";

    internal static IReadOnlyList<string> All { get; } = [Trap, Alternate, Shunted, Ring, Direct];

    /// <summary>The guest's mode in which a path exists.</summary>
    internal static string Mode(string path) => path switch
    {
        Trap => "emulating",
        Alternate => "alternate",
        _ => "enlightened",
    };

    /// <summary>The stack that the application calls.</summary>
    internal static string Stack(string path) => path == Ring ? "enlightened" : "emulating";
}
