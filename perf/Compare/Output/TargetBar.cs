using VmShunt.Perf.Launch.Report.Charts;

namespace VmShunt.Perf.Compare.Output;

/// <summary>A figure in units of its target: 1 is the target, more is better.</summary>
/// <param name="Median">The figure.</param>
/// <param name="Lower">The worse quartile.</param>
/// <param name="Upper">The better quartile.</param>
internal sealed record TargetMark(double Median, double Lower, double Upper);

/// <summary>The distance of a figure to its target on a logarithmic line, with the target in the middle. Every bar has the same scale.</summary>
internal static class TargetBar
{
    private const double Width = 168, Height = 20, Margin = 8, Middle = Width / 2, Far = 4;

    /// <param name="description">The text alternative for screen readers.</param>
    /// <param name="mark">The figure.</param>
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
        // A figure beyond the end of the line is a triangle at its end.
        svg.Mark(mark.Median is > Far or < 1 / Far ? 3 : mark.Median >= 1 ? 0 : 1, At(mark.Median), y, 4.5, style, description);
        return svg.Close();
    }

    private static double At(double value) =>
        Middle + ((Middle - Margin) * Math.Clamp(Math.Log(Math.Max(value, 1e-9)) / Math.Log(Far), -1, 1));
}
