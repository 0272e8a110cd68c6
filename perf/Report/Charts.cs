namespace VmShunt.Perf.Report;

/// <summary>A row of a bar chart: a path and its parts.</summary>
internal sealed record Bar(string Label, IReadOnlyList<BarPart> Parts, string Text);

/// <param name="Style">A class of the page's style sheet.</param>
/// <param name="Name">What the part is, for the tip.</param>
/// <param name="Value">Its size.</param>
internal sealed record BarPart(string Style, string Name, double Value);

/// <summary>The three kinds of picture in a report.</summary>
internal static class Charts
{
    private const double Left = 68, Right = 80, Row = 26, BarHeight = 16;

    /// <summary>Stacked horizontal bars on a linear scale from 0, each with its text at the end.</summary>
    internal static string Bars(string description, IReadOnlyList<Bar> bars)
    {
        var svg = new Svg((bars.Count * Row) + 4, description);
        double most = bars.Max(static bar => bar.Parts.Sum(static part => part.Value)), room = Svg.Width - Left - Right;
        for (var i = 0; i < bars.Count; i++)
        {
            double y = (i * Row) + 4, x = Left;
            svg.Text(Left - 6, y + 12, "end", bars[i].Label);
            foreach (BarPart part in bars[i].Parts)
            {
                var width = most > 0 ? part.Value / most * room : 0;
                svg.Rect(x, y, width, BarHeight, part.Style, $"{bars[i].Label}, {part.Name}: {part.Value:0.###}");
                x += width;
            }
            svg.Text(x + 5, y + 12, "start", bars[i].Text);
        }
        return svg.Close();
    }

    /// <summary>Median, 99 % and 99.9 % latency of each path on one line, logarithmic.</summary>
    internal static string Percentiles(string description, IReadOnlyList<PathResult> paths)
    {
        var bottom = (paths.Count * Row) + 6;
        var svg = new Svg(bottom + 18, description);
        var scale = new LogScale(paths.SelectMany(static p => new[] { p.P50Microseconds, p.P999Microseconds }), Left, Svg.Width - 16);
        foreach (var tick in scale.Ticks)
        {
            svg.Line(scale.At(tick), 4, scale.At(tick), bottom, "grid");
            svg.Text(scale.At(tick), bottom + 14, "middle", LogScale.Label(tick));
        }
        for (var i = 0; i < paths.Count; i++)
        {
            PathResult p = paths[i];
            var y = (i * Row) + 16;
            svg.Text(Left - 6, y + 4, "end", p.Path);
            svg.Line(scale.At(p.P50Microseconds), y, scale.At(p.P999Microseconds), y, $"stroke {p.Path}");
            svg.Circle(scale.At(p.P50Microseconds), y, 6, p.Path, $"{p.Path}: median {p.P50Microseconds:0.#} µs");
            svg.Circle(scale.At(p.P99Microseconds), y, 4.2, p.Path, $"{p.Path}: 99 % {p.P99Microseconds:0.#} µs");
            svg.Circle(scale.At(p.P999Microseconds), y, 2.8, p.Path, $"{p.Path}: 99.9 % {p.P999Microseconds:0.#} µs");
        }
        return svg.Close();
    }

    /// <summary>Rate over depth, a line a path, both axes logarithmic; the path's name stands at the line's end.</summary>
    internal static string RateOverDepth(string description, IReadOnlyList<PathResult> paths)
    {
        const double height = 240, bottom = height - 34, left = 42, right = Svg.Width - 66;
        var svg = new Svg(height, description);
        var rate = new LogScale(paths.Select(static p => p.Iops), bottom, 10);
        int[] depths = [.. paths.Select(static p => p.QueueDepth).Distinct().Order()];
        double At(int depth) => depths.Length < 2 ? left : left + ((right - left) * Math.Log2((double)depth / depths[0]) / Math.Log2((double)depths[^1] / depths[0]));

        foreach (var tick in rate.Ticks)
        {
            svg.Line(left, rate.At(tick), right, rate.At(tick), "grid");
            svg.Text(left - 6, rate.At(tick) + 4, "end", LogScale.Label(tick));
        }
        foreach (var depth in depths) svg.Text(At(depth), bottom + 16, "middle", $"{depth}");
        svg.Text((left + right) / 2, height - 4, "middle", "requests in flight");

        var above = double.NegativeInfinity;
        foreach (IGrouping<string, PathResult> path in paths.GroupBy(static p => p.Path).OrderByDescending(static path => path.MaxBy(static p => p.QueueDepth)!.Iops))
        {
            PathResult[] points = [.. path.OrderBy(static p => p.QueueDepth)];
            for (var i = 0; i < points.Length; i++)
            {
                double x = At(points[i].QueueDepth), y = rate.At(points[i].Iops);
                if (i > 0) svg.Line(At(points[i - 1].QueueDepth), rate.At(points[i - 1].Iops), x, y, $"stroke {path.Key}");
                svg.Circle(x, y, 4, path.Key, $"{path.Key}, depth {points[i].QueueDepth}: {points[i].Iops:N0}/s");
            }
            // Lines may end at the same height; their names may not.
            above = Math.Max(above + 14, rate.At(points[^1].Iops) + 4);
            svg.Text(right + 8, above, "start", path.Key);
        }
        return svg.Close();
    }
}
