using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Report;

/// <summary>How the roads compare, workload by workload.</summary>
internal static class Ratios
{
    private static readonly (string Slow, string Fast)[] s_pairs =
        [(DiskPath.Trap, DiskPath.Ring), (DiskPath.Alternate, DiskPath.Ring), (DiskPath.Shunted, DiskPath.Ring), (DiskPath.Ring, DiskPath.Direct)];

    /// <summary>One line a workload: the requests a second of each slower path as a share of the faster one's.</summary>
    internal static IEnumerable<string> Describe(IReadOnlyList<PathResult> paths)
    {
        foreach (var group in paths.GroupBy(static p => new Workload(p.Operation, p.BlockSize, p.QueueDepth)))
        {
            var ratios = s_pairs
                .Select(pair => (pair.Slow, pair.Fast, Share: Rate(group, pair.Slow) / Rate(group, pair.Fast)))
                .Where(static r => r.Share is > 0 and < double.PositiveInfinity)
                .Select(static r => $"{r.Slow}/{r.Fast} {r.Share:0.###}");
            yield return $"{group.Key.Title}: requests a second, {string.Join(", ", ratios)}";
        }
    }

    private static double Rate(IEnumerable<PathResult> paths, string path) => paths.FirstOrDefault(p => p.Path == path)?.Iops ?? 0;
}
