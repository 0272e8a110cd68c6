using Spectre.Console;

namespace VmShunt.Perf.Report;

/// <summary>The paths as a table for the terminal.</summary>
internal static class PathTable
{
    internal static Table Build(LaunchResult result)
    {
        var table = new Table().Border(TableBorder.Simple).Title("Every road to the disk");
        string[] columns = ["path", "IOPS", "MB/s", "p50 µs", "p99 µs", "p99.9 µs", "traps", "kicks", "calls", "copies", "alloc B", "CPU µs: guest", "host", "hypervisor"];
        foreach (var column in columns)
            table.AddColumn(new TableColumn(column) { Alignment = column == "path" ? Justify.Left : Justify.Right, NoWrap = true });
        foreach (IGrouping<(string, int, int), PathResult> group in result.Paths.GroupBy(static p => (p.Operation, p.BlockSize, p.QueueDepth)))
        {
            (var operation, var blockSize, var depth) = group.Key;
            table.AddRow($"[bold]{Markup.Escape(new Measure.Workload(operation, blockSize, depth).Title)}[/]");
            foreach (PathResult p in group) table.AddRow(Cells(p));
            table.AddEmptyRow();
        }
        return table;
    }

    private static string[] Cells(PathResult p) =>
    [
        "  " + p.Path, $"{p.Iops:N0}", $"{p.MegabytesPerSecond:N0}", $"{p.P50Microseconds:N1}", $"{p.P99Microseconds:N1}", $"{p.P999Microseconds:N1}",
        $"{p.TrapsPerRequest:0.##}", $"{p.KicksPerRequest:0.##}", $"{p.CallsPerRequest:0.##}", $"{p.CopiesPerRequest:0.##}", $"{p.AllocatedBytesPerRequest:0.#}",
        $"{p.GuestCpuMicrosecondsPerRequest:N1}", $"{p.HostCpuMicrosecondsPerRequest:N1}", $"{p.HypervisorCpuMicrosecondsPerRequest:N1}",
    ];
}
