using System.Runtime.CompilerServices;

namespace VmShunt.Perf.House;

/// <summary>The assemblies of <c>src</c>, beside this program, and the repository that they were built from.</summary>
internal static class HouseFiles
{
    /// <summary>The repository's root.</summary>
    internal static string Root { get; } = FindRoot();

    /// <summary>Paths of every assembly of <c>src</c> that lies in a folder.</summary>
    internal static IReadOnlyList<string> Assemblies(string folder) =>
        [.. Directory.EnumerateFiles(folder, "*.dll")
            .Where(static file => Path.GetFileName(file) is var name
                && (name.StartsWith("VmShunt.", StringComparison.Ordinal) || name.StartsWith("vmshunt-", StringComparison.Ordinal) || name == "vmshunt.dll")
                && !name.Contains("perf", StringComparison.Ordinal) && !name.Contains("EntryHook", StringComparison.Ordinal)
                && !name.Contains("Tests", StringComparison.Ordinal) && !name.Contains("EndToEnd", StringComparison.Ordinal))
            .Order(StringComparer.Ordinal)];

    private static string FindRoot([CallerFilePath] string here = "") =>
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "..", ".."));
}
