namespace VmShunt.Perf.Compare.Rows;

/// <summary>All rows, in the order of the table.</summary>
internal static class TableRows
{
    internal static IReadOnlyList<Row> All { get; } =
    [
        new RoundTripRow(),
        new MemoryRow(1),
        new MemoryRow(32),
        new PageCacheRow(1),
        new PageCacheRow(32),
        new DirectRow(),
        new SequentialRow(),
        new QueuesRow(),
        new ShuntRow(),
        new AllocationRow(),
        new IdleRow(),
        new DepthCostRow(),
        new GuestsCostRow(),
        new SizeCostRow(),
        new StartRow(),
        new NativeRow(),
        new NativeStartRow(),
        new HopsRow(),
        new TrapStateRow(),
        new DepthCurveRow(),
        new BlockCurveRow(),
    ];

    /// <summary>The rows whose id starts with one of the words; all rows without a word.</summary>
    internal static IReadOnlyList<Row> Find(IReadOnlyList<string> words) =>
        [.. All.Where(row => words.Count == 0 || words.Any(word => row.Id.StartsWith(word, StringComparison.OrdinalIgnoreCase)))];
}
