namespace VmShunt.Perf.Launch.Report.Charts;

/// <summary>One line of a chart.</summary>
/// <param name="Label">Drawn at the end of the line.</param>
/// <param name="Look">Its style, the same in every chart.</param>
/// <param name="Points">In order of x.</param>
internal sealed record Series(string Label, Look Look, IReadOnlyList<(double X, double Y)> Points);

/// <summary>The axes of a line chart.</summary>
/// <param name="X">The name of the horizontal axis.</param>
/// <param name="XText">Formats a value of the horizontal axis.</param>
/// <param name="Y">The name of the vertical axis.</param>
/// <param name="YText">Formats a value of the vertical axis.</param>
internal sealed record Axes(string X, Func<double, string> XText, string Y, Func<double, string> YText);

/// <summary>A line chart with logarithmic axes. Each line has its own colour, dash and mark, and its name at its end.</summary>
internal static class LineChart
{
    private const double Height = 260, Bottom = Height - 36, Top = 24, Left = 40, LabelHeight = 13, MostForLabels = 128;

    internal static string Draw(string description, IReadOnlyList<Series> series, Axes axes)
    {
        var svg = new Svg(Height, description);
        var right = Svg.Width - Math.Min(MostForLabels, series.Max(static one => Svg.WidthOf(one.Label))) - 10;
        var y = new LogScale(series.SelectMany(static one => one.Points).Select(static point => point.Y), Bottom, Top);
        double[] steps = [.. series.SelectMany(static one => one.Points).Select(static point => point.X).Distinct().Order()];
        double At(double x) => steps.Length < 2 ? Left : Left + ((right - Left) * Math.Log2(x / steps[0]) / Math.Log2(steps[^1] / steps[0]));

        foreach (var tick in y.Ticks)
        {
            svg.Line(Left, y.At(tick), right, y.At(tick), "grid");
            svg.Text(Left - 5, y.At(tick) + 4, "end", axes.YText(tick), "soft");
        }
        svg.Text(0, 11, "start", axes.Y, "soft");
        foreach (var step in Thinned(steps, At)) svg.Text(At(step), Bottom + 15, "middle", axes.XText(step), "soft");
        svg.Text((Left + right) / 2, Height - 5, "middle", axes.X, "soft");

        for (var i = 0; i < series.Count; i++)
        {
            var points = series[i].Points;
            for (var p = 1; p < points.Count; p++) svg.Line(At(points[p - 1].X), y.At(points[p - 1].Y), At(points[p].X), y.At(points[p].Y), $"stroke {series[i].Look.Style}");
            foreach (var point in points)
                svg.Mark(series[i].Look.Mark, At(point.X), y.At(point.Y), 3.6, series[i].Look.Style, $"{series[i].Label}, {axes.XText(point.X)}: {axes.YText(point.Y)}");
        }
        foreach (var (label, look, end, height) in Labels(series, y))
        {
            svg.Line(At(end.X) + 5, y.At(end.Y), right + 6, height - 4, $"lead {look.Style}");
            svg.Text(right + 8, height, "start", Svg.Shorten(label, Svg.Width - right - 8));
        }
        return svg.Close();
    }

    // Lines may end at the same height; their names must not overlap.
    private static IEnumerable<(string Label, Look Look, (double X, double Y) End, double Height)> Labels(IReadOnlyList<Series> series, LogScale y)
    {
        Series[] ordered = [.. series.OrderBy(one => y.At(one.Points[^1].Y))];
        var heights = new double[ordered.Length];
        for (var i = 0; i < ordered.Length; i++)
            heights[i] = Math.Max(y.At(ordered[i].Points[^1].Y) + 4, i == 0 ? double.NegativeInfinity : heights[i - 1] + LabelHeight);
        for (var i = ordered.Length - 1; i >= 0; i--)
            heights[i] = Math.Min(heights[i], i == ordered.Length - 1 ? Bottom : heights[i + 1] - LabelHeight);
        return ordered.Select((one, i) => (one.Label, one.Look, one.Points[^1], heights[i]));
    }

    private static IEnumerable<double> Thinned(double[] steps, Func<double, double> at)
    {
        var last = double.NegativeInfinity;
        foreach (var step in steps)
        {
            if (at(step) - last < 24) continue;
            last = at(step);
            yield return step;
        }
    }
}
