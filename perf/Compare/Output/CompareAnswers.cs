using System.Globalization;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Measure;
using VmShunt.Perf.Report;
using VmShunt.Perf.Report.Charts;

namespace VmShunt.Perf.Compare.Output;

/// <summary>What a reader wants to know first: the ring against the trap, ours against the peers, and which targets are reached.</summary>
internal static class CompareAnswers
{
    internal static string Build(CompareResult result) => RingByTrap(result) + Peers(result) + Targets(result);

    private static string RingByTrap(CompareResult result)
    {
        var pairs = Pairs(result).OrderBy(static pair => pair.Depth).ToArray();
        if (pairs.Length == 0) return Page.Card("The ring against the trap", "", "", "<p>Not measured in this run.</p>");
        var (_, ratio, ring, trap, inTurns) = pairs[0];
        var lines = string.Concat(pairs.Skip(1).Select(static pair => $"<p>{Verdict.Number(pair.Ratio)} × with {pair.Depth} in flight</p>"));
        if (!inTurns) lines += "<p>not measured in turns, but in two rows</p>";
        LatencyRow[] roads = [.. new[] { trap, ring }.Where(static one => one.Rounds[0].P999 is not null).Select(one => new LatencyRow(one.Subject, CompareFigures.LooksOf(result).Of(one.Subject), Latency(one, static s => s.P50), Latency(one, static s => s.P99), Latency(one, static s => s.P999)))];
        if (roads.Length > 0) lines += PercentileChart.Draw("Latency: median · 99 % · 99.9 %", roads) + "<p>Latency: median · 99 % · 99.9 %</p>";
        return Page.Card(
            "The ring against the trap", $"{Verdict.Number(ratio)} ×", string.Create(CultureInfo.InvariantCulture, $"the requests a second: {ring.Inputs.BlockBytes >> 10} KiB random reads, depth {ring.Inputs.Depth}, three processes"), lines);
    }

    /// <summary>Both roads with the same inputs, at every depth where both are.</summary>
    internal static IEnumerable<RoadPair> Pairs(CompareResult result)
    {
        var all = result.Rows.SelectMany(static row => row.Measurements.Select(one => (row.Id, One: one))).ToArray();
        return all.Where(static ring => ring.One.Subject == DiskPath.Ring)
            // The trap of the same row if it can be, which took turns with it.
            .Select(ring => (Ring: ring, Trap: all.Where(trap => trap.One.Subject == DiskPath.Trap && trap.One.Inputs == ring.One.Inputs).OrderBy(trap => trap.Id != ring.Id).FirstOrDefault()))
            .Where(static pair => pair.Trap.One is not null)
            .Select(static pair => pair.Ring.Id == pair.Trap.Id
                ? new RoadPair(pair.Ring.One.Inputs.Depth, Ratio.Of(pair.Ring.One, pair.Trap.One, Iops).Median, pair.Ring.One, pair.Trap.One, InTurns: true)
                : new RoadPair(pair.Ring.One.Inputs.Depth, pair.Ring.One.Of(Iops).Median / pair.Trap.One.Of(Iops).Median, pair.Ring.One, pair.Trap.One, InTurns: false));
    }

    private static string Peers(CompareResult result)
    {
        var lines = result.Rows.SelectMany(static row => row.Verdicts).Where(static verdict => verdict.Value is not null && Looks.IsPeer(verdict.Against)).Select(Line).ToArray();
        return lines.Length == 0 ? "" : Page.Card("Against peers", "", "", $"<ul class=\"lines\">\n{string.Concat(lines)}</ul>");
    }

    private static string Targets(CompareResult result)
    {
        Verdict[] judged = [.. result.Rows.SelectMany(static row => row.Verdicts).Where(static verdict => verdict.Reached is not null)];
        if (judged.Length == 0) return "";
        var reached = judged.Count(static verdict => verdict.Reached == true);
        var missed = judged.Where(static verdict => verdict.Reached == false).ToArray();
        var strip = string.Concat(judged.Select(static verdict => $"<span class=\"{(verdict.Reached == true ? "yes" : "no")}\"></span>"));
        return Page.Card(
            "Targets", $"{reached} of {judged.Length}", "reached",
            $"<div class=\"strip\" aria-hidden=\"true\">{strip}</div>" + (missed.Length == 0 ? "" : $"<p>Not reached:</p><ul class=\"lines\">\n{string.Concat(missed.Select(Line))}</ul>"));
    }

    private static string Line(Verdict verdict)
    {
        var (style, sign) = Sign(verdict);
        return $"<li><span class=\"{style}\">{sign}</span><span>{Svg.Escape(Short(verdict.Work))} <span class=\"soft\">{Svg.Escape(verdict.Against)}{(verdict.Target is { } target ? $", {$"asked {target.Text}".Replace(' ', '\u00A0')}" : "")}</span></span><b>{Svg.Escape(verdict.ValueText)}</b></li>\n";
    }

    /// <summary>The class and the sign of a verdict.</summary>
    internal static (string Style, string Sign) Sign(Verdict verdict) => verdict.Reached switch
    {
        true => ("yes", "✓"),
        false => ("no", "✗"),
        null => ("soft", "–"),
    };

    private static string Short(string work) => work.Replace(", 4 KiB random read", "", StringComparison.Ordinal);

    private static double Iops(Sample sample) => sample.Iops;

    private static double Latency(Measurement one, Func<Sample, double?> figure) => one.Of(sample => figure(sample) ?? 0).Median;
}

/// <summary>The ring and the trap with the same inputs.</summary>
/// <param name="Depth">Requests in flight.</param>
/// <param name="Ratio">The ring's requests a second as a multiple of the trap's.</param>
/// <param name="Ring">The ring.</param>
/// <param name="Trap">The trap.</param>
/// <param name="InTurns">Whether they took turns in one row, or the ratio is one of two rows' medians.</param>
internal sealed record RoadPair(int Depth, double Ratio, Measurement Ring, Measurement Trap, bool InTurns);
