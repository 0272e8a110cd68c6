using System.Runtime.CompilerServices;

namespace VmShunt.Perf.Lifecycle.Processes;

/// <summary>The tree that these tests were built from.</summary>
internal static class Repository
{
    /// <summary>Its root folder.</summary>
    internal static string Root { get; } = Find();

    private static string Find([CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "..", "..", ".."));
}
