namespace VmShunt.Perf.Report.Charts;

/// <summary>One row of a latency chart, in microseconds.</summary>
internal sealed record LatencyRow(string Label, string Style, double P50, double P99, double P999);

/// <summary>Median, 99 % and 99.9 % latency of each path on one line, logarithmic.</summary>
internal static class PercentileChart
{
    private const double Row = 26;

    internal static string Draw(string description, IReadOnlyList<LatencyRow> rows)
    {
        double bottom = (rows.Count * Row) + 6, left = Math.Clamp(rows.Max(static row => row.Label.Length) * Svg.Character, 40, 160) + 10;
        var svg = new Svg(bottom + 18, description);
        var scale = new LogScale(rows.SelectMany(static row => new[] { row.P50, row.P999 }), left + 8, Svg.Width - 14);
        foreach (var tick in scale.Ticks)
        {
            svg.Line(scale.At(tick), 4, scale.At(tick), bottom, "grid");
            svg.Text(scale.At(tick), bottom + 14, "middle", LogScale.Label(tick));
        }
        for (var i = 0; i < rows.Count; i++)
        {
            var row = rows[i];
            var y = (i * Row) + 16;
            svg.Text(left - 6, y + 4, "end", Svg.Shorten(row.Label, left - 8));
            svg.Line(scale.At(row.P50), y, scale.At(row.P999), y, $"stroke {row.Style}");
            svg.Circle(scale.At(row.P50), y, 6, row.Style, $"{row.Label}: median {row.P50:0.##} µs");
            svg.Circle(scale.At(row.P99), y, 4.2, row.Style, $"{row.Label}: 99 % {row.P99:0.##} µs");
            svg.Circle(scale.At(row.P999), y, 2.8, row.Style, $"{row.Label}: 99.9 % {row.P999:0.##} µs");
        }
        return svg.Close();
    }
}
