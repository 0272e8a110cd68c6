using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Report;

/// <summary>How many times slower one road is than another, workload by workload.</summary>
internal static class Ratios
{
    private static readonly (string Slow, string Fast)[] s_pairs =
        [(DiskPath.Trap, DiskPath.Ring), (DiskPath.Shunted, DiskPath.Ring), (DiskPath.Alternate, DiskPath.Ring), (DiskPath.Ring, DiskPath.Direct)];

    /// <summary>One line a workload: the rate of the faster path over the rate of the slower.</summary>
    internal static IEnumerable<string> Describe(IReadOnlyList<PathResult> paths)
    {
        foreach (IGrouping<(string, int, int), PathResult> group in paths.GroupBy(static p => (p.Operation, p.BlockSize, p.QueueDepth)))
        {
            (var operation, var blockSize, var depth) = group.Key;
            IEnumerable<string> ratios = s_pairs
                .Select(pair => (pair, Slow: Rate(group, pair.Slow), Fast: Rate(group, pair.Fast)))
                .Where(static r => r.Slow > 0 && r.Fast > 0)
                .Select(static r => $"{r.pair.Fast}/{r.pair.Slow} {r.Fast / r.Slow:F2}");
            yield return $"{new Workload(operation, blockSize, depth).Title}: IOPS {string.Join(", ", ratios)}";
        }
    }

    private static double Rate(IEnumerable<PathResult> paths, string path) => paths.FirstOrDefault(p => p.Path == path)?.Iops ?? 0;
}
