using System.Globalization;
using VmShunt.Perf.Launch.Model;
using VmShunt.Perf.Launch.Report.Charts;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Launch.Report;

/// <summary>The cards at the top of a launch's report: how much faster each path is than the trap path, and that no data was lost.</summary>
internal static class LaunchAnswers
{
    /// <summary>The cards. Those with ratios are left out when the launch was disturbed.</summary>
    internal static string Build(LaunchResult result) =>
        (result.Disturbed ? "" : RingVsTrap(result.Paths) + Multiples(result.Paths)) + Integrity(result);

    private static string RingVsTrap(IReadOnlyList<PathResult> paths)
    {
        var pairs = paths.Where(static one => one.Path == DiskPath.Ring)
            .Select(ring => (Ring: ring, Trap: paths.FirstOrDefault(one => one.Path == DiskPath.Trap && Workload.Of(one) == Workload.Of(ring))))
            .Where(static pair => pair.Trap is { Iops: > 0 }).ToArray();
        if (pairs.Length == 0) return "";
        var (ring, trap) = pairs[0];
        return Page.Card(
            "Ring vs trap", $"{Number(ring.Iops / trap!.Iops)} ×", $"requests per second (higher is better), {Workload.Of(ring).Title}",
            $"<p>VM exits per request: {Number(ring.TrapsPerRequest)} on the ring, {Number(trap.TrapsPerRequest)} on the trap path</p>"
            + PercentileChart.Draw("Latency: p50 · p99 · p99.9", [.. new[] { trap, ring }.Select(static one => new LatencyRow(one.Path, new Looks([DiskPath.All]).Of(one.Path), one.P50Microseconds, one.P99Microseconds, one.P999Microseconds))])
            + "<p>Latency, lower is better: p50 · p99 · p99.9</p>");
    }

    private static string Multiples(IReadOnlyList<PathResult> paths)
    {
        string[] others = [.. DiskPath.All.Where(path => path != DiskPath.Trap && paths.Any(one => one.Path == path))];
        var rows = string.Concat(paths.GroupBy(Workload.Of).Select(group =>
        {
            double Rate(string path) => group.FirstOrDefault(one => one.Path == path)?.Iops ?? 0;
            var cells = string.Concat(others.Select(path => $"<td>{(Rate(DiskPath.Trap) > 0 && Rate(path) > 0 ? Number(Rate(path) / Rate(DiskPath.Trap)) : "–")}</td>"));
            return $"<tr><td>{Svg.Escape(group.Key.Title)}</td>{cells}</tr>\n";
        }));
        return Page.Card(
            "Requests per second vs trap", "", "",
            $"<p>A multiple of the trap path's; higher is better.</p><table class=\"times\"><thead><tr><th scope=\"col\"></th>{string.Concat(others.Select(static path => $"<th scope=\"col\">{path}</th>"))}</tr></thead><tbody>\n{rows}</tbody></table>");
    }

    private static string Integrity(LaunchResult result)
    {
        var same = result.Hashes.Trap == result.Disk.Sha256 && result.Hashes.Shunted == result.Disk.Sha256 && result.Hashes.Ring == result.Disk.Sha256;
        var lines = Line(same, "Trap, shunted and ring read the content of the file.", "")
            + Line(result.Transition.Failed == 0, "Switch from trap to ring under load:", $"{result.Transition.InFlight} requests in flight, {result.Transition.Failed:N0} failed");
        if (result.CrashDump.Path is { } path) lines += Line(result.CrashDump.Verified == true, $"Crash dump through the {path} path:", "equal to the memory at the crash");
        return Page.Card("No data lost", "", "", $"<ul class=\"lines\">\n{lines}</ul>");
    }

    private static string Line(bool good, string what, string more) =>
        $"<li><span class=\"{(good ? "yes" : "no")}\">{(good ? "✓" : "✗")}</span><span>{Svg.Escape(what)} <span class=\"soft\">{Svg.Escape(more)}</span></span><b></b></li>\n";

    private static string Number(double value) => value.ToString(value >= 100 ? "N0" : value >= 10 ? "0.#" : "0.##", CultureInfo.InvariantCulture);
}
