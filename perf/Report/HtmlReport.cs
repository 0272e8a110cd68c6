using System.Globalization;
using System.Text;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Measure;
using VmShunt.Perf.Report.Charts;

namespace VmShunt.Perf.Report;

/// <summary>The report of a launch: one HTML file that needs nothing else (<c>report.html</c> is its template).</summary>
internal static class HtmlReport
{
    private static readonly Looks s_looks = new([DiskPath.All]);

    internal static string Build(LaunchResult result, IReadOnlyList<string> notes)
    {
        return Page.Read("report.html")
            .Replace("{{style}}", Page.Read("report.css"), StringComparison.Ordinal)
            .Replace("{{byline}}", Svg.Escape($"{MemorySize.Format(result.Disk.Bytes)} disk, {result.Machine.Cores} processors of {result.Machine.Cpu}"), StringComparison.Ordinal)
            .Replace("{{answers}}", LaunchAnswers.Build(result), StringComparison.Ordinal)
            .Replace("{{hops}}", result.Hops.Count == 0 ? "<p>Not followed in this launch.</p>\n" : HopFigures.Draw([.. result.Hops.OrderByDescending(static road => road.Microseconds)]), StringComparison.Ordinal)
            .Replace("{{facts}}", Facts(result), StringComparison.Ordinal)
            .Replace("{{notes}}", Lines(notes), StringComparison.Ordinal)
            .Replace("{{ratios}}", Lines(Ratios.Describe(result.Paths)), StringComparison.Ordinal)
            .Replace("{{latency}}", Latency(result.Paths), StringComparison.Ordinal)
            .Replace("{{rate}}", Rate(result.Paths), StringComparison.Ordinal)
            .Replace("{{cpu}}", ByWorkload(result.Paths, Cpu), StringComparison.Ordinal)
            .Replace("{{notifications}}", ByWorkload(result.Paths, Notifications), StringComparison.Ordinal)
            .Replace("{{table}}", Table(result.Paths), StringComparison.Ordinal);
    }

    private static string Facts(LaunchResult r)
    {
        var text = new StringBuilder();
        void Add(string name, string value) => text.Append(CultureInfo.InvariantCulture, $"<dt>{name}</dt><dd>{Svg.Escape(value)}</dd>\n");
        Add("Disk", $"{r.Disk.Path}, {MemorySize.Format(r.Disk.Bytes)}");
        Add("Content", r.Hashes.Trap == r.Disk.Sha256 && r.Hashes.Shunted == r.Disk.Sha256 && r.Hashes.Ring == r.Disk.Sha256
            ? $"trap, shunted and ring read what the file holds: SHA-256 {r.Disk.Sha256}"
            : $"differs: file {r.Disk.Sha256}, trap {r.Hashes.Trap}, shunted {r.Hashes.Shunted}, ring {r.Hashes.Ring}");
        Add("Switch under load", $"{r.Transition.InFlight} in flight, {r.Transition.Completed:N0} completed, {r.Transition.Failed:N0} failed, longest pause {r.Transition.MaxPauseMicroseconds:N0} µs");
        Add("Crash dump", r.CrashDump.Road is null
            ? "none"
            : $"{r.CrashDump.Bytes:N0} bytes by the {r.CrashDump.Road}, {(r.CrashDump.Verified == true ? "equal to the memory at the crash" : "not verified")}");
        Add("Machine", $"{r.Machine.Cpu}, {r.Machine.Cores} processors, Linux {r.Machine.Kernel}, {r.Machine.Runtime}");
        return text.ToString();
    }

    private static string Lines(IEnumerable<string> lines) => string.Concat(lines.Select(static line => $"<li>{Svg.Escape(line)}</li>\n"));

    private static string Latency(IReadOnlyList<PathResult> paths) =>
        ByWorkload(paths, static (title, group) => PercentileChart.Draw(
            $"Latency in microseconds, {title}", [.. group.Select(static p => new LatencyRow(p.Path, s_looks.Of(p.Path), p.P50Microseconds, p.P99Microseconds, p.P999Microseconds))]));

    private static string Rate(IReadOnlyList<PathResult> paths)
    {
        PathResult[] random = [.. paths.Where(static p => p.Operation == "randread")];
        PathResult[] sequential = [.. paths.Where(static p => p.Operation == "read")];
        var rate = random.Length == 0 ? "" : Page.Figure($"Random reads of {MemorySize.Format(random[0].BlockSize)} over depth", LineChart.Draw(
            "IOPS over queue depth",
            [.. random.GroupBy(static p => p.Path).Select(static path => new Series(path.Key, s_looks.Of(path.Key), [.. path.OrderBy(static p => p.QueueDepth).Select(static p => ((double)p.QueueDepth, p.Iops))]))],
            new Axes("requests in flight", static depth => $"{depth:0}", "requests a second", LogScale.Label)));
        return rate + ByWorkload(sequential, static (title, group) => BarChart.Draw(
            $"MB/s, {title}",
            [.. group.Select(static p => new Bar(p.Path, [new BarPart(s_looks.Of(p.Path).Style, "MB/s", p.MegabytesPerSecond)], $"{p.MegabytesPerSecond:N0} MB/s"))]));
    }

    private static string Cpu(string title, PathResult[] group) => BarChart.Draw($"CPU microseconds a request, {title}",
    [
        .. group.Select(static p => new Bar(
            p.Path,
            [
                new BarPart("p0", "guest", p.GuestCpuMicrosecondsPerRequest),
                new BarPart("p1", "VM-H", p.HostCpuMicrosecondsPerRequest),
                new BarPart("p2", "hypervisor", p.HypervisorCpuMicrosecondsPerRequest),
            ],
            $"{p.GuestCpuMicrosecondsPerRequest + p.HostCpuMicrosecondsPerRequest + p.HypervisorCpuMicrosecondsPerRequest:N1} µs")),
    ]);

    private static string Notifications(string title, PathResult[] group) => BarChart.Draw($"Traps, kicks and calls a request, {title}",
    [
        .. group.Select(static p => new Bar(
            p.Path,
            [
                new BarPart("p0", "traps", p.TrapsPerRequest),
                new BarPart("p1", "kicks", p.KicksPerRequest),
                new BarPart("p2", "calls", p.CallsPerRequest),
            ],
            $"{p.TrapsPerRequest:0.##} · {p.KicksPerRequest:0.##} · {p.CallsPerRequest:0.##}")),
    ]);

    private static string ByWorkload(IEnumerable<PathResult> paths, Func<string, PathResult[], string> draw) =>
        string.Concat(paths.GroupBy(static p => new Workload(p.Operation, p.BlockSize, p.QueueDepth))
            .Select(group => Page.Figure(group.Key.Title, draw(group.Key.Title, [.. group]))));

    private static string Table(IReadOnlyList<PathResult> paths)
    {
        var text = new StringBuilder();
        foreach (PathResult p in paths)
        {
            string[] cells =
            [
                $"{p.Operation} {MemorySize.Format(p.BlockSize)} ×{p.QueueDepth}", p.Path, $"{p.Requests:N0}", $"{p.Iops:N0}", $"{p.MegabytesPerSecond:N0}",
                $"{p.P50Microseconds:N1}", $"{p.P99Microseconds:N1}", $"{p.P999Microseconds:N1}", $"{p.MaxMicroseconds:N0}",
                $"{p.TrapsPerRequest:0.###}", $"{p.KicksPerRequest:0.###}", $"{p.CallsPerRequest:0.###}", $"{p.CopiesPerRequest:0.###}", $"{p.AllocatedBytesPerRequest:0.#}",
                $"{p.GuestCpuMicrosecondsPerRequest:N1}", $"{p.HostCpuMicrosecondsPerRequest:N1}", $"{p.HypervisorCpuMicrosecondsPerRequest:N1}",
            ];
            text.Append("<tr>").AppendJoin("", cells.Select(static cell => $"<td>{Svg.Escape(cell)}</td>")).Append("</tr>\n");
        }
        return text.ToString();
    }
}
