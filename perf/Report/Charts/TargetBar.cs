namespace VmShunt.Perf.Report.Charts;

/// <summary>What came out, in units of its target: 1 is the target, more is better.</summary>
/// <param name="Median">The figure.</param>
/// <param name="Lower">The worse quartile.</param>
/// <param name="Upper">The better one.</param>
internal sealed record TargetMark(double Median, double Lower, double Upper);

/// <summary>How far a figure is past its target, or short of it: a logarithmic line, the same for all, with the target in its middle.</summary>
internal static class TargetBar
{
    private const double Width = 168, Height = 20, Margin = 8, Middle = Width / 2, Far = 4;

    /// <param name="description">For who does not see it.</param>
    /// <param name="mark">Where it is.</param>
    internal static string Draw(string description, TargetMark mark)
    {
        const double y = Height / 2;
        var svg = new Svg(Height, description, Width);
        var style = mark.Median >= 1 ? "good" : "bad";
        svg.Line(Margin, y, Width - Margin, y, "grid");
        svg.Line(Middle, 2, Middle, Height - 2, "target");
        svg.Line(Middle, y, At(mark.Median), y, $"stroke {style}");
        svg.Line(At(mark.Lower), y - 4, At(mark.Lower), y + 4, $"whisker {style}");
        svg.Line(At(mark.Upper), y - 4, At(mark.Upper), y + 4, $"whisker {style}");
        // What is further away than the line is long stands at its end, as a triangle.
        svg.Mark(mark.Median is > Far or < 1 / Far ? 3 : mark.Median >= 1 ? 0 : 1, At(mark.Median), y, 4.5, style, description);
        return svg.Close();
    }

    private static double At(double value) =>
        Middle + ((Middle - Margin) * Math.Clamp(Math.Log(Math.Max(value, 1e-9)) / Math.Log(Far), -1, 1));
}
