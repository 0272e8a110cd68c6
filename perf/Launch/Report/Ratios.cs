using System.Globalization;
using VmShunt.Perf.Launch.Model;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Launch.Report;

/// <summary>How the ring compares with the other paths.</summary>
internal static class Ratios
{
    private static readonly string[] s_others = [DiskPath.Trap, DiskPath.Alternate, DiskPath.Shunted, DiskPath.Direct];

    /// <summary>One line per workload: the ring's requests per second as a multiple of each other path's.</summary>
    internal static IEnumerable<string> Describe(IReadOnlyList<PathResult> paths)
    {
        foreach (var group in paths.GroupBy(Workload.Of))
        {
            var ratios = s_others
                .Select(other => (Other: other, Ratio: Rate(group, DiskPath.Ring) / Rate(group, other)))
                .Where(static one => one.Ratio is > 0 and < double.PositiveInfinity)
                .Select(static one => $"{one.Ratio.ToString(one.Ratio >= 100 ? "N0" : one.Ratio >= 10 ? "0.#" : "0.##", CultureInfo.InvariantCulture)} × vs {one.Other}");
            yield return $"{group.Key.Title}: requests per second of the ring (higher is better): {string.Join(", ", ratios)}";
        }
    }

    private static double Rate(IEnumerable<PathResult> paths, string path) => paths.FirstOrDefault(p => p.Path == path)?.Iops ?? 0;
}
