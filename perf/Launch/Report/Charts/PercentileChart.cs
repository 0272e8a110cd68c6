using System.Globalization;

namespace VmShunt.Perf.Launch.Report.Charts;

/// <summary>One row of a latency chart, in microseconds.</summary>
internal sealed record LatencyRow(string Label, Look Look, double P50, double P99, double P999);

/// <summary>The p50, p99 and p99.9 latency of each path on a logarithmic line, below its name and figures.</summary>
internal static class PercentileChart
{
    private const double Row = 37, Margin = 20;

    internal static string Draw(string description, IReadOnlyList<LatencyRow> rows)
    {
        var bottom = (rows.Count * Row) + 2;
        var svg = new Svg(bottom + 18, $"{description}: {string.Join("; ", rows.Select(static row => $"{row.Label} {Figures(row)}"))}");
        var scale = new LogScale(rows.SelectMany(static row => new[] { row.P50, row.P999 }), Margin, Svg.Width - Margin);
        foreach (var tick in scale.Ticks)
        {
            svg.Line(scale.At(tick), 4, scale.At(tick), bottom, "grid");
            svg.Text(scale.At(tick), bottom + 14, "middle", LogScale.Label(tick), "soft");
        }
        for (var i = 0; i < rows.Count; i++)
        {
            var row = rows[i];
            double top = i * Row, y = top + 26;
            var figures = Figures(row);
            svg.Text(0, top + 13, "start", Svg.Shorten(row.Label, Svg.Width - Svg.WidthOf(figures) - 10), "on");
            svg.Text(Svg.Width, top + 13, "end", figures, "on");
            svg.Line(scale.At(row.P50), y, scale.At(row.P999), y, $"stroke {row.Look.Style}");
            svg.Circle(scale.At(row.P50), y, 6, row.Look.Style, $"{row.Label}: p50 {row.P50:0.##} µs");
            svg.Circle(scale.At(row.P99), y, 4.2, row.Look.Style, $"{row.Label}: p99 {row.P99:0.##} µs");
            svg.Circle(scale.At(row.P999), y, 2.8, row.Look.Style, $"{row.Label}: p99.9 {row.P999:0.##} µs");
        }
        return svg.Close();
    }

    private static string Figures(LatencyRow row) => $"{Number(row.P50)} · {Number(row.P99)} · {Number(row.P999)} µs";

    private static string Number(double microseconds) => microseconds switch
    {
        >= 100 => microseconds.ToString("N0", CultureInfo.InvariantCulture),
        >= 10 => microseconds.ToString("0.#", CultureInfo.InvariantCulture),
        _ => microseconds.ToString("0.##", CultureInfo.InvariantCulture),
    };
}
