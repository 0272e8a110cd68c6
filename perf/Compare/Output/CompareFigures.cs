using System.Globalization;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Report;
using VmShunt.Perf.Report.Charts;

namespace VmShunt.Perf.Compare.Output;

/// <summary>The pictures of a comparison. A row that was not run has none.</summary>
internal static class CompareFigures
{
    private const string None = "<p>Not measured in this run.</p>\n";

    internal static string Targets(CompareResult result)
    {
        // Ratios and times; a target of zero has no distance.
        var marks = result.Rows
            .Select(static row => (row.Title, Marks: row.Verdicts.Where(static verdict => verdict is { Value.Median: > 0, Target.Value: > 0 }).Select(Mark).ToArray()))
            .SelectMany(static row => row.Marks).ToArray();
        // One picture as tall as a page is no picture.
        const int together = 8;
        return OrNone(string.Concat(marks.Chunk(together).Select((chunk, i) =>
            Figure($"Targets {(i * together) + 1} to {(i * together) + chunk.Length}", TargetChart.Draw($"Figures against their targets: {string.Join("; ", chunk.Select(static mark => $"{mark.Label}: {mark.Text}"))}", chunk)))));
    }

    internal static string OverDepth(CompareResult result)
    {
        if (result.Rows.FirstOrDefault(static row => row.Id == "depths") is not { } row) return None;
        // pread has no depth: a line across would say that it has.
        var series = SeriesOf(row.Measurements.Where(static one => one.Subject != Contestants.PreadContestant.Name), static one => one.Inputs.Depth, static one => one.Of(static s => s.Iops).Median);
        var pread = row.Measurements.FirstOrDefault(static one => one.Subject == Contestants.PreadContestant.Name);
        var title = "IOPS over depth" + (pread is null ? "" : string.Create(CultureInfo.InvariantCulture, $"; pread in process, one after another: {pread.Of(static s => s.Iops).Median:N0}/s"));
        return Figure(title, LineChart.Draw(title, series, new Axes("requests in flight", static depth => $"{depth:0}", LogScale.Label, 112)));
    }

    internal static string OverBlockSize(CompareResult result)
    {
        if (result.Rows.FirstOrDefault(static row => row.Id == "blocks") is not { } row) return None;
        var series = SeriesOf(row.Measurements, static one => one.Inputs.BlockBytes, static one => one.MegabytesPerSecond);
        const string title = "MB/s over block size";
        return Figure(title, LineChart.Draw(title, series, new Axes("bytes a request", Bytes, LogScale.Label, 112)));
    }

    internal static string Latency(CompareResult result) => OrNone(string.Concat(result.Rows
        .Where(static row => row.Id is not ("depths" or "blocks" or "sequential") && !row.Id.StartsWith("cost", StringComparison.Ordinal))
        .SelectMany(static row => row.Measurements.Where(static one => one.Rounds[0].P999 is not null).GroupBy(one => (row.Title, row.Id == "shunt" ? one.Inputs.Depth : 0)))
        .Select(static group =>
        {
            var title = group.Key.Item2 == 0 ? group.Key.Title : $"{group.Key.Title}, depth {group.Key.Item2}";
            return Figure(title, PercentileChart.Draw($"Latency in microseconds: {title}", [.. group.Select((one, i) => new LatencyRow(one.Subject, $"s{i % 6}", At(one, static s => s.P50), At(one, static s => s.P99), At(one, static s => s.P999)))]));
        })));

    internal static string Hops(CompareResult result) => OrNone(string.Concat(result.Rows.SelectMany(static row => row.Hops).Select(static road =>
    {
        var sum = road.Hops.Sum(static hop => hop.Microseconds);
        var title = string.Create(CultureInfo.InvariantCulture, $"{road.Road}: {Verdict.Number(road.Microseconds)} µs a request");
        var bar = BarChart.Draw(
            $"{title}: {string.Join("; ", road.Hops.Select(static hop => $"{hop.Name} {Verdict.Number(hop.Microseconds)} µs"))}",
            [new Bar("", [.. road.Hops.Select(static (hop, i) => new BarPart($"hop{i % 5}", hop.Name, hop.Microseconds))], "")]);
        var list = string.Concat(road.Hops.Select((hop, i) =>
            $"<li><span class=\"key\" style=\"background:{HopColour(i)}\"></span><b>{Verdict.Number(hop.Microseconds)} µs</b> {Svg.Escape(hop.Name)}, {(sum > 0 ? hop.Microseconds / sum * 100 : 0).ToString("0", CultureInfo.InvariantCulture)} % <span class=\"soft\">({Svg.Escape(hop.Derived)})</span></li>\n"));
        return $"<figure><figcaption>{Svg.Escape(title)}</figcaption>{bar}<ul class=\"hops\">\n{list}</ul></figure>\n";
    })));

    internal static string Cpu(CompareResult result) => OrNone(string.Concat(result.Rows
        .Where(static row => row.Measurements.Count > 0 && row.Id is not ("depths" or "blocks" or "roundtrip"))
        .Select(static row => Figure(row.Title, BarChart.Draw(
            $"CPU microseconds a request: {row.Title}",
            [
                .. row.Measurements.Select(one => new Bar(
                    Label(row, one),
                    [
                        new BarPart("guest", "guest", one.Of(static s => s.GuestCpu).Median),
                        new BarPart("host", "VM-H or daemon", one.Of(static s => s.HostCpu).Median),
                        new BarPart("hypervisor", "hypervisor", one.Of(static s => s.HypervisorCpu).Median),
                    ],
                    $"{Verdict.Number(one.Of(static s => s.Cpu).Median)} µs")),
            ])))));

    // A row's contestants differ in one thing; that is their name.
    private static string Label(RowResult row, Measurement one) => row.Id switch
    {
        "cost-depth" => $"depth {one.Inputs.Depth}",
        "cost-guests" => one.Inputs.Guests == 1 ? "1 guest" : $"{one.Inputs.Guests} guests",
        "shunt" => $"{one.Subject}, depth {one.Inputs.Depth}",
        _ => one.Subject,
    };

    private static IReadOnlyList<Series> SeriesOf(IEnumerable<Measurement> measurements, Func<Measurement, double> x, Func<Measurement, double> y) =>
    [
        .. measurements.GroupBy(static one => one.Subject)
            .Select((subject, i) => new Series(subject.Key, $"s{i % 6}", [.. subject.Select(one => (x(one), y(one))).OrderBy(static point => point.Item1)])),
    ];

    private static TargetMark Mark(Verdict verdict)
    {
        double Past(double value) => verdict.Target!.Bound == Bound.AtLeast ? value / verdict.Target.Value : verdict.Target.Value / value;
        var value = verdict.Value!;
        double a = Past(Math.Max(value.Lower, 1e-9)), b = Past(Math.Max(value.Upper, 1e-9));
        return new TargetMark(verdict.Work.Replace(", 4 KiB random read", "", StringComparison.Ordinal), Past(value.Median), Math.Min(a, b), Math.Max(a, b), $"{verdict.ValueText}, asked {verdict.Target!.Text}", verdict.Against);
    }

    private static double At(Measurement one, Func<Sample, double?> figure) => one.Of(sample => figure(sample) ?? 0).Median;

    private static string Bytes(double bytes) => bytes switch
    {
        >= 1 << 20 => $"{bytes / (1 << 20):0.#}M",
        >= 1 << 10 => $"{bytes / (1 << 10):0.#}K",
        _ => $"{bytes:0}",
    };

    private static string HopColour(int hop) => (hop % 5) switch
    {
        0 => "var(--direct)",
        1 => "var(--shunted)",
        2 => "var(--alternate)",
        3 => "var(--ring)",
        _ => "var(--call)",
    };

    private static string OrNone(string figures) => figures.Length == 0 ? None : figures;

    private static string Figure(string title, string svg) => $"<figure><figcaption>{Svg.Escape(title)}</figcaption>{svg}</figure>\n";
}
