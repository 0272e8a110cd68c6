using Spectre.Console;
using VmShunt.Perf.Launch.Model;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Launch.Report;

/// <summary>The terminal's tables, one per workload. On a narrow terminal, speed and cost are separate tables.</summary>
internal static class PathTable
{
    private const int WideColumns = 128;

    private static readonly (string Title, Func<PathResult, string> Cell)[] s_speed =
    [
        ("IOPS", static p => $"{p.Iops:N0}"),
        ("MB/s", static p => $"{p.MegabytesPerSecond:N0}"),
        ("p50 µs", static p => Time(p.P50Microseconds)),
        ("p99 µs", static p => Time(p.P99Microseconds)),
        ("p99.9 µs", static p => Time(p.P999Microseconds)),
    ];

    private static readonly (string Title, Func<PathResult, string> Cell)[] s_cost =
    [
        ("traps", static p => $"{p.TrapsPerRequest:0.##}"),
        ("kicks", static p => $"{p.KicksPerRequest:0.##}"),
        ("calls", static p => $"{p.CallsPerRequest:0.##}"),
        ("copies", static p => $"{p.CopiesPerRequest:0.##}"),
        ("alloc B", static p => $"{p.AllocatedBytesPerRequest:0.#}"),
        ("VM-C µs", static p => Time(p.GuestCpuMicrosecondsPerRequest)),
        ("VM-H µs", static p => Time(p.HostCpuMicrosecondsPerRequest)),
        ("hyperv. µs", static p => Time(p.HypervisorCpuMicrosecondsPerRequest)),
    ];

    internal static void Write(IAnsiConsole console, IReadOnlyList<PathResult> paths)
    {
        console.WriteLine("Per request: latency; traps (VM exits), kicks, calls, copies and allocated bytes; CPU time of VM-C (guest), VM-H (host server) and the hypervisor. Higher is better for IOPS and MB/s, lower for the rest.");
        foreach (var group in paths.GroupBy(Workload.Of))
        {
            console.WriteLine();
            console.MarkupLine($"[bold]{Markup.Escape(group.Key.Title)}[/]");
            if (console.Profile.Width >= WideColumns)
            {
                console.Write(Build(group, [.. s_speed, .. s_cost]));
            }
            else
            {
                console.Write(Build(group, s_speed));
                console.Write(Build(group, s_cost));
            }
        }
        console.WriteLine();
    }

    private static Table Build(IEnumerable<PathResult> paths, (string Title, Func<PathResult, string> Cell)[] columns)
    {
        var table = new Table().Border(TableBorder.Simple);
        table.AddColumn(new TableColumn("path") { Padding = new Padding(0, 0, 1, 0), NoWrap = true });
        foreach (var (title, _) in columns)
            table.AddColumn(new TableColumn(title) { Alignment = Justify.Right, Padding = new Padding(1, 0, 0, 0), NoWrap = true });
        foreach (var path in paths) table.AddRow([path.Path, .. columns.Select(column => column.Cell(path))]);
        return table;
    }

    private static string Time(double microseconds) => microseconds >= 1000 ? $"{microseconds:N0}" : $"{microseconds:0.0}";
}
