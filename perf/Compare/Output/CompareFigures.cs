using System.Globalization;
using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Launch.Report;
using VmShunt.Perf.Launch.Report.Charts;

namespace VmShunt.Perf.Compare.Output;

/// <summary>The charts of a comparison. A row that was not run has none.</summary>
internal sealed class CompareFigures(CompareResult result)
{
    private const string None = "<p>Not measured in this run.</p>\n";

    private readonly Looks _looks = LooksOf(result);

    /// <summary>The styles of all contestants that appear in a chart: those whose requests were timed one by one.</summary>
    internal static Looks LooksOf(CompareResult result) =>
        new(result.Rows.Select(static row => row.Measurements.Where(static one => one.Rounds[0].P999 is not null).Select(static one => one.Subject)));

    internal string OverDepth()
    {
        if (result.Rows.FirstOrDefault(static row => row.Id == "depths") is not { } row) return None;
        // pread has no queue depth, so a line over depth would be wrong.
        var series = SeriesOf(row.Measurements.Where(static one => one.Subject != PreadContestant.Name), static one => one.Inputs.Depth, static one => one.Of(static s => s.Iops).Median);
        var pread = row.Measurements.FirstOrDefault(static one => one.Subject == PreadContestant.Name);
        var title = "4 KiB random reads" + (pread is null ? "" : string.Create(CultureInfo.InvariantCulture, $"; pread in process, one at a time: {pread.Of(static s => s.Iops).Median:N0} per second"));
        return Page.Figure(title, LineChart.Draw($"Requests per second over queue depth, {title}", series, new Axes("queue depth", static depth => $"{depth:0}", "requests per second", LogScale.Label)));
    }

    internal string OverBlockSize()
    {
        if (result.Rows.FirstOrDefault(static row => row.Id == "blocks") is not { } row) return None;
        var series = SeriesOf(row.Measurements, static one => one.Inputs.BlockBytes, static one => one.MegabytesPerSecond);
        const string title = "Sequential reads of a file in the page cache, depth 4; pread one at a time";
        return Page.Figure(title, LineChart.Draw($"MB/s over block size, {title}", series, new Axes("bytes per request", Bytes, "MB/s", LogScale.Label)));
    }

    internal string Latency() => OrNone(string.Concat(result.Rows
        .Where(static row => row.Id is not ("depths" or "blocks" or "sequential") && !row.Id.StartsWith("cost", StringComparison.Ordinal))
        .SelectMany(static row => row.Measurements.Where(static one => one.Rounds[0].P999 is not null).GroupBy(one => (row.Title, Depth: row.Id == "shunt" ? one.Inputs.Depth : 0)))
        .Select(group =>
        {
            var title = group.Key.Depth == 0 ? group.Key.Title : string.Create(CultureInfo.InvariantCulture, $"{group.Key.Title}, depth {group.Key.Depth}");
            return Page.Figure(title, PercentileChart.Draw(
                $"Latency in microseconds, {title}",
                [.. group.Select(one => new LatencyRow(one.Subject, _looks.Of(one.Subject), At(one, static s => s.P50), At(one, static s => s.P99), At(one, static s => s.P999)))]));
        })));

    internal string Hops() => OrNone(HopFigures.Draw([.. result.Rows.SelectMany(static row => row.Hops).OrderByDescending(static path => path.Microseconds)]));

    internal string Cpu() => OrNone(string.Concat(result.Rows
        .Where(static row => row.Measurements.Count > 0 && row.Id is not ("depths" or "blocks" or "roundtrip"))
        .Select(static row => Page.Figure(row.Title, BarChart.Draw(
            $"CPU microseconds per request: {row.Title}",
            [
                .. row.Measurements.Select(one => new Bar(
                    Label(row, one),
                    [
                        new BarPart("p0", "VM-C", one.Of(static s => s.GuestCpu).Median),
                        new BarPart("p1", "VM-H or daemon", one.Of(static s => s.HostCpu).Median),
                        new BarPart("p2", "hypervisor", one.Of(static s => s.HypervisorCpu).Median),
                    ],
                    $"{Verdict.Number(one.Of(static s => s.Cpu).Median)} µs")),
            ])))));

    // The contestants of a row differ in one thing, which labels them.
    private static string Label(RowResult row, Measurement one) => row.Id switch
    {
        "cost-depth" => $"depth {one.Inputs.Depth}",
        "cost-guests" => one.Inputs.Guests == 1 ? "1 guest" : $"{one.Inputs.Guests} guests",
        "shunt" => $"{one.Subject}, depth {one.Inputs.Depth}",
        _ => one.Subject,
    };

    private IReadOnlyList<Series> SeriesOf(IEnumerable<Measurement> measurements, Func<Measurement, double> x, Func<Measurement, double> y) =>
    [
        .. measurements.GroupBy(static one => one.Subject)
            .Select(subject => new Series(subject.Key, _looks.Of(subject.Key), [.. subject.Select(one => (x(one), y(one))).OrderBy(static point => point.Item1)])),
    ];

    private static double At(Measurement one, Func<Sample, double?> figure) => one.Of(sample => figure(sample) ?? 0).Median;

    private static string Bytes(double bytes) => bytes switch
    {
        >= 1 << 20 => $"{bytes / (1 << 20):0.#}M",
        >= 1 << 10 => $"{bytes / (1 << 10):0.#}K",
        _ => $"{bytes:0}",
    };

    private static string OrNone(string figures) => figures.Length == 0 ? None : figures;
}
