using System.Globalization;
using System.Text;
using VmShunt.Perf.Launch.Model;
using VmShunt.Perf.Launch.Report.Charts;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Launch.Report;

/// <summary>The report of a launch: one self-contained HTML file. <c>report.html</c> is its template.</summary>
internal static class HtmlReport
{
    private static readonly Looks s_looks = new([DiskPath.All]);

    internal static string Build(LaunchResult result, IReadOnlyList<string> notes)
    {
        return Page.Read("report.html")
            .Replace("{{style}}", Page.Read("report.css"), StringComparison.Ordinal)
            .Replace("{{byline}}", Svg.Escape(Byline(result)), StringComparison.Ordinal)
            .Replace("{{warnings}}", result.Disturbed ? $"<p class=\"warning\" role=\"note\">{Svg.Escape(DisturbedLaunch.Sentence(result.ForeignCpu))}</p>" : "", StringComparison.Ordinal)
            .Replace("{{answers}}", LaunchAnswers.Build(result), StringComparison.Ordinal)
            .Replace("{{hops}}", result.Hops.Count == 0 ? "<p>Not traced in this launch.</p>\n" : HopFigures.Draw([.. result.Hops.OrderByDescending(static path => path.Microseconds)]), StringComparison.Ordinal)
            .Replace("{{facts}}", Facts(result), StringComparison.Ordinal)
            .Replace("{{notes}}", Lines(notes), StringComparison.Ordinal)
            .Replace("{{ratios}}", result.Disturbed ? "" : Lines(Ratios.Describe(result.Paths)), StringComparison.Ordinal)
            .Replace("{{latency}}", Latency(result.Paths), StringComparison.Ordinal)
            .Replace("{{rate}}", Rate(result.Paths), StringComparison.Ordinal)
            .Replace("{{cpu}}", ByWorkload(result.Paths, Cpu), StringComparison.Ordinal)
            .Replace("{{notifications}}", ByWorkload(result.Paths, Notifications), StringComparison.Ordinal)
            .Replace("{{speed}}", Table(result.Paths, Speed), StringComparison.Ordinal)
            .Replace("{{cost}}", Table(result.Paths, Cost), StringComparison.Ordinal);
    }

    private static string Byline(LaunchResult r) => string.Create(
        CultureInfo.InvariantCulture,
        $"{r.Date:yyyy-MM-dd}, {(r.Commit.Length > 0 ? $"commit {r.Commit}, " : "")}{MemorySize.Format(r.Disk.Bytes)} disk, {r.Machine.Cores} processors of {r.Machine.Cpu}");

    private static string Facts(LaunchResult r)
    {
        var text = new StringBuilder();
        void Add(string name, string value) => text.Append(CultureInfo.InvariantCulture, $"<dt>{name}</dt><dd>{Svg.Escape(value)}</dd>\n");
        Add("Date", string.Create(CultureInfo.InvariantCulture, $"{r.Date:yyyy-MM-dd HH:mm} UTC"));
        Add("Command", r.Command);
        Add("Commit", r.Commit.Length > 0 ? r.Commit : "unknown (no git repository)");
        Add("Disturbed", string.Create(CultureInfo.InvariantCulture, $"{(r.Disturbed ? "yes" : "no")}: other processes used {r.ForeignCpu * 100:0} % of a core during the measurements"));
        Add("Disk", $"{r.Disk.Path}, {MemorySize.Format(r.Disk.Bytes)}");
        Add("Content", r.Hashes.Trap == r.Disk.Sha256 && r.Hashes.Shunted == r.Disk.Sha256 && r.Hashes.Ring == r.Disk.Sha256
            ? $"trap, shunted and ring read the content of the file: SHA-256 {r.Disk.Sha256}"
            : $"differs: file {r.Disk.Sha256}, trap {r.Hashes.Trap}, shunted {r.Hashes.Shunted}, ring {r.Hashes.Ring}");
        Add("Switch under load", $"{r.Transition.InFlight} in flight, {r.Transition.Completed:N0} completed, {r.Transition.Failed:N0} failed, longest pause {r.Transition.MaxPauseMicroseconds:N0} µs");
        Add("Crash dump", r.CrashDump.Path is null
            ? "none"
            : $"{r.CrashDump.Bytes:N0} bytes through the {r.CrashDump.Path} path, {(r.CrashDump.Verified == true ? "equal to the memory at the crash" : "not verified")}");
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
        var rate = random.Length == 0 ? "" : Page.Figure($"Random reads of {MemorySize.Format(random[0].BlockSize)}: requests per second over queue depth (higher is better)", LineChart.Draw(
            "Requests per second over queue depth",
            [.. random.GroupBy(static p => p.Path).Select(static path => new Series(path.Key, s_looks.Of(path.Key), [.. path.OrderBy(static p => p.QueueDepth).Select(static p => ((double)p.QueueDepth, p.Iops))]))],
            new Axes("queue depth", static depth => $"{depth:0}", "requests per second", LogScale.Label)));
        return rate + ByWorkload(sequential, static (title, group) => BarChart.Draw(
            $"MB/s, {title}",
            [.. group.Select(static p => new Bar(p.Path, [new BarPart(s_looks.Of(p.Path).Style, "MB/s", p.MegabytesPerSecond)], $"{p.MegabytesPerSecond:N0} MB/s"))]));
    }

    private static string Cpu(string title, PathResult[] group) => BarChart.Draw($"CPU microseconds per request, {title}",
    [
        .. group.Select(static p => new Bar(
            p.Path,
            [
                new BarPart("p0", "VM-C", p.GuestCpuMicrosecondsPerRequest),
                new BarPart("p1", "VM-H", p.HostCpuMicrosecondsPerRequest),
                new BarPart("p2", "hypervisor", p.HypervisorCpuMicrosecondsPerRequest),
            ],
            $"{p.GuestCpuMicrosecondsPerRequest + p.HostCpuMicrosecondsPerRequest + p.HypervisorCpuMicrosecondsPerRequest:N1} µs")),
    ]);

    private static string Notifications(string title, PathResult[] group) => BarChart.Draw($"Traps, kicks and calls per request, {title}",
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
        string.Concat(paths.GroupBy(Workload.Of)
            .Select(group => Page.Figure(group.Key.Title, draw(group.Key.Title, [.. group]))));

    private static string Table(IReadOnlyList<PathResult> paths, Func<PathResult, string[]> figures)
    {
        var text = new StringBuilder();
        foreach (PathResult p in paths)
        {
            string[] cells = [$"{p.Operation} {MemorySize.Format(p.BlockSize)} ×{p.QueueDepth}", p.Path, .. figures(p)];
            text.Append("<tr>").AppendJoin("", cells.Select(static cell => $"<td>{Svg.Escape(cell)}</td>")).Append("</tr>\n");
        }
        return text.ToString();
    }

    private static string[] Speed(PathResult p) =>
    [
        $"{p.Requests:N0}", $"{p.Iops:N0}", $"{p.MegabytesPerSecond:N0}", $"{p.P50Microseconds:N1}", $"{p.P99Microseconds:N1}", $"{p.P999Microseconds:N1}", $"{p.MaxMicroseconds:N0}",
    ];

    private static string[] Cost(PathResult p) =>
    [
        $"{p.TrapsPerRequest:0.###}", $"{p.KicksPerRequest:0.###}", $"{p.CallsPerRequest:0.###}", $"{p.CopiesPerRequest:0.###}", $"{p.AllocatedBytesPerRequest:0.#}",
        $"{p.GuestCpuMicrosecondsPerRequest:N1}", $"{p.HostCpuMicrosecondsPerRequest:N1}", $"{p.HypervisorCpuMicrosecondsPerRequest:N1}",
    ];
}
