using System.Globalization;
using VmShunt.Perf.Measure;
using VmShunt.Perf.Report.Charts;

namespace VmShunt.Perf.Report;

/// <summary>What a reader of a launch wants to know first: how much faster each road is than the trap, and that nothing was lost on the way.</summary>
internal static class LaunchAnswers
{
    internal static string Build(LaunchResult result) => RingByTrap(result.Paths) + Multiples(result.Paths) + Whole(result);

    private static string RingByTrap(IReadOnlyList<PathResult> paths)
    {
        var pairs = paths.Where(static one => one.Path == DiskPath.Ring)
            .Select(ring => (Ring: ring, Trap: paths.FirstOrDefault(one => one.Path == DiskPath.Trap && one.IsOf(new Workload(ring.Operation, ring.BlockSize, ring.QueueDepth)))))
            .Where(static pair => pair.Trap is { Iops: > 0 }).ToArray();
        if (pairs.Length == 0) return "";
        var (ring, trap) = pairs[0];
        return Page.Card(
            "The ring against the trap", $"{Number(ring.Iops / trap!.Iops)} ×", $"the requests a second: {new Workload(ring.Operation, ring.BlockSize, ring.QueueDepth).Title}",
            $"<p>{Number(ring.TrapsPerRequest)} VM exits a request instead of {Number(trap.TrapsPerRequest)}</p>"
            + PercentileChart.Draw("Latency: median · 99 % · 99.9 %", [.. new[] { trap, ring }.Select(static one => new LatencyRow(one.Path, new Looks([DiskPath.All]).Of(one.Path), one.P50Microseconds, one.P99Microseconds, one.P999Microseconds))])
            + "<p>Latency: median · 99 % · 99.9 %</p>");
    }

    private static string Multiples(IReadOnlyList<PathResult> paths)
    {
        string[] roads = [.. DiskPath.All.Where(road => road != DiskPath.Trap && paths.Any(one => one.Path == road))];
        var rows = string.Concat(paths.GroupBy(static one => new Workload(one.Operation, one.BlockSize, one.QueueDepth)).Select(group =>
        {
            double Rate(string road) => group.FirstOrDefault(one => one.Path == road)?.Iops ?? 0;
            var cells = string.Concat(roads.Select(road => $"<td>{(Rate(DiskPath.Trap) > 0 && Rate(road) > 0 ? Number(Rate(road) / Rate(DiskPath.Trap)) : "–")}</td>"));
            return $"<tr><td>{Svg.Escape(group.Key.Title)}</td>{cells}</tr>\n";
        }));
        return Page.Card(
            "Requests a second, in units of the trap", "", "",
            $"<table class=\"times\"><thead><tr><th scope=\"col\"></th>{string.Concat(roads.Select(static road => $"<th scope=\"col\">{road}</th>"))}</tr></thead><tbody>\n{rows}</tbody></table>");
    }

    private static string Whole(LaunchResult result)
    {
        var same = result.Hashes.Trap == result.Disk.Sha256 && result.Hashes.Shunted == result.Disk.Sha256 && result.Hashes.Ring == result.Disk.Sha256;
        var lines = Line(same, "every road reads what the file holds", "") + Line(result.Transition.Failed == 0, "the road changes under load", $"{result.Transition.InFlight} in flight, {result.Transition.Failed:N0} failed");
        if (result.CrashDump.Road is { } road) lines += Line(result.CrashDump.Verified == true, $"a crash is dumped by the {road}", "equal to the memory at the crash");
        return Page.Card("Nothing is lost on the way", "", "", $"<ul class=\"lines\">\n{lines}</ul>");
    }

    private static string Line(bool good, string what, string more) =>
        $"<li><span class=\"{(good ? "yes" : "no")}\">{(good ? "✓" : "✗")}</span><span>{Svg.Escape(what)} <span class=\"soft\">{Svg.Escape(more)}</span></span><b></b></li>\n";

    private static string Number(double value) => value.ToString(value >= 100 ? "N0" : value >= 10 ? "0.#" : "0.##", CultureInfo.InvariantCulture);
}
