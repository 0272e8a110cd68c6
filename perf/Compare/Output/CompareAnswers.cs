using System.Globalization;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Launch.Report;
using VmShunt.Perf.Launch.Report.Charts;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Output;

/// <summary>The cards at the top of the report: the ring vs the trap path, VmShunt vs its peers, and the targets.</summary>
internal static class CompareAnswers
{
    internal static string Build(CompareResult result) => RingVsTrap(result) + Peers(result) + Targets(result);

    private static string RingVsTrap(CompareResult result)
    {
        const string title = "Ring vs trap";
        var pairs = Pairs(result).OrderBy(static pair => pair.Depth).ToArray();
        if (pairs.Length == 0) return Page.Card(title, "", "", "<p>Not measured in this run.</p>");
        var (_, ratio, ring, trap, interleaved) = pairs[0];
        var lines = string.Concat(pairs.Skip(1).Select(static pair => $"<p>{Verdict.Number(pair.Ratio)} × at depth {pair.Depth}</p>"));
        if (!interleaved) lines += "<p>Measured in two rows, not in interleaved rounds.</p>";
        LatencyRow[] paths = [.. new[] { trap, ring }.Where(static one => one.Rounds[0].P999 is not null).Select(one => new LatencyRow(one.Subject, CompareFigures.LooksOf(result).Of(one.Subject), Latency(one, static s => s.P50), Latency(one, static s => s.P99), Latency(one, static s => s.P999)))];
        if (paths.Length > 0) lines += PercentileChart.Draw("Latency: p50 · p99 · p99.9", paths) + "<p>Latency, lower is better: p50 · p99 · p99.9</p>";
        return Page.Card(
            title, $"{Verdict.Number(ratio)} ×", string.Create(CultureInfo.InvariantCulture, $"requests per second (higher is better), {ring.Inputs.BlockBytes >> 10} KiB random reads, depth {ring.Inputs.Depth}, three processes"), lines);
    }

    /// <summary>Ring and trap with the same inputs, at every depth that both were measured at.</summary>
    internal static IEnumerable<PathPair> Pairs(CompareResult result)
    {
        var all = result.Rows.SelectMany(static row => row.Measurements.Select(one => (row.Id, One: one))).ToArray();
        return all.Where(static ring => ring.One.Subject == DiskPath.Ring)
            // Preferably of the same row, which measured both in interleaved rounds.
            .Select(ring => (Ring: ring, Trap: all.Where(trap => trap.One.Subject == DiskPath.Trap && trap.One.Inputs == ring.One.Inputs).OrderBy(trap => trap.Id != ring.Id).FirstOrDefault()))
            .Where(static pair => pair.Trap.One is not null)
            .Select(static pair => pair.Ring.Id == pair.Trap.Id
                ? new PathPair(pair.Ring.One.Inputs.Depth, Ratio.Of(pair.Ring.One, pair.Trap.One, Iops).Median, pair.Ring.One, pair.Trap.One, Interleaved: true)
                : new PathPair(pair.Ring.One.Inputs.Depth, pair.Ring.One.Of(Iops).Median / pair.Trap.One.Of(Iops).Median, pair.Ring.One, pair.Trap.One, Interleaved: false));
    }

    private static string Peers(CompareResult result)
    {
        var lists = string.Concat(VerdictGroup.Of(result)
            .Select(static group => (group.Title, Lines: group.Verdicts.Where(static one => one.Verdict.Value is not null && Looks.IsPeer(one.Verdict.Against)).Select(static one => Line(one.Row, one.Verdict, "")).ToArray()))
            .Where(static group => group.Lines.Length > 0)
            .Select(static group => $"<p>{group.Title}:</p><ul class=\"lines\">\n{string.Concat(group.Lines)}</ul>"));
        return lists.Length == 0 ? "" : Page.Card("VmShunt vs peers", "", "", lists);
    }

    private static string Targets(CompareResult result)
    {
        (RowResult Row, Verdict Verdict)[] judged = [.. result.Rows.SelectMany(static row => row.Verdicts.Select(verdict => (row, verdict))).Where(static one => one.verdict.Met is not null)];
        if (judged.Length == 0) return "";
        var met = judged.Count(static one => one.Verdict.Met == true);
        var missed = judged.Where(static one => one.Verdict.Met == false).ToArray();
        var strip = string.Concat(judged.Select(static one => $"<span class=\"{(one.Verdict.Met == true ? "yes" : "no")}\"></span>"));
        return Page.Card(
            "Targets", $"{met} of {judged.Length}", "met",
            $"<div class=\"strip\" aria-hidden=\"true\">{strip}</div>"
            + (missed.Length == 0 ? "" : $"<p>Not met:</p><ul class=\"lines\">\n{string.Concat(missed.Select(static one => Line(one.Row, one.Verdict, one.Verdict.Direction == Better.Lower ? ", lower is better" : ", higher is better")))}</ul>"));
    }

    private static string Line(RowResult row, Verdict verdict, string direction)
    {
        var (style, sign) = Sign(verdict);
        var target = verdict.Target is { } one ? $", {$"target {one.Text}".Replace(' ', '\u00A0')}" : "";
        return $"<li><span class=\"{style}\">{sign}</span><span>{Svg.Escape(Short(verdict.Work))} <span class=\"soft\">vs {Svg.Escape(verdict.Against + target + direction)}{(row.Disturbed ? $" {Disturbance.Mark}" : "")}</span></span><b>{Svg.Escape(verdict.ValueText)}</b></li>\n";
    }

    /// <summary>The CSS class and the sign of a verdict.</summary>
    internal static (string Style, string Sign) Sign(Verdict verdict) => verdict.Met switch
    {
        true => ("yes", "✓"),
        false => ("no", "✗"),
        null => ("soft", "–"),
    };

    private static string Short(string work) => work.Replace(", 4 KiB random read", "", StringComparison.Ordinal);

    private static double Iops(Sample sample) => sample.Iops;

    private static double Latency(Measurement one, Func<Sample, double?> figure) => one.Of(sample => figure(sample) ?? 0).Median;
}

/// <summary>The ring and the trap path with the same inputs.</summary>
/// <param name="Depth">Requests in flight.</param>
/// <param name="Ratio">The ring's requests per second as a multiple of the trap path's.</param>
/// <param name="Ring">The ring.</param>
/// <param name="Trap">The trap path.</param>
/// <param name="Interleaved">Whether both were measured in interleaved rounds of one row; otherwise the ratio is one of medians.</param>
internal sealed record PathPair(int Depth, double Ratio, Measurement Ring, Measurement Trap, bool Interleaved);
