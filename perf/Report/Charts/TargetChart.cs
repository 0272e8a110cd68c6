namespace VmShunt.Perf.Report.Charts;

/// <summary>One target and what came out.</summary>
/// <param name="Label">What was asked.</param>
/// <param name="Median">1 is the target, more is better.</param>
/// <param name="Lower">The worse quartile, in the same measure.</param>
/// <param name="Upper">The better one.</param>
/// <param name="Text">The figure itself, beside its target.</param>
/// <param name="Against">What it was held against.</param>
internal sealed record TargetMark(string Label, double Median, double Lower, double Upper, string Text, string Against);

/// <summary>How far each figure is past its target, or short of it: one logarithmic line each, the target in the middle of all.</summary>
internal static class TargetChart
{
    private const double Left = 14, Right = Svg.Width - 14, Row = 54, Top = 22;

    internal static string Draw(string description, IReadOnlyList<TargetMark> marks)
    {
        var bottom = Top + (marks.Count * Row);
        var svg = new Svg(bottom + 4, description);
        var scale = new LogScale(marks.SelectMany(static mark => new[] { mark.Median, mark.Lower, mark.Upper }).Append(0.5).Append(2).Select(static value => Math.Clamp(value, 0.05, 20)), Left, Right);
        svg.Text(scale.At(1), 12, "middle", "target");
        svg.Text(Right, 12, "end", "better →");
        svg.Text(Left, 12, "start", "← short of it");
        for (var i = 0; i < marks.Count; i++)
        {
            var mark = marks[i];
            double y = Top + (i * Row), at = y + 40;
            var good = mark.Median >= 1;
            svg.Text(Left, y + 12, "start", Svg.Shorten($"{(good ? "✓" : "✗")} {mark.Label}", Right - Left));
            svg.Text(Left + 14, y + 27, "start", Svg.Shorten(mark.Against, Right - Left - 26 - (mark.Text.Length * Svg.Character)));
            svg.Line(scale.At(1), at - 9, scale.At(1), at + 9, "target");
            svg.Text(Right, y + 27, "end", mark.Text);
            svg.Line(Left, at, Right, at, "grid");
            svg.Line(scale.At(1), at, scale.At(mark.Median), at, $"stroke {(good ? "good" : "bad")}");
            svg.Line(scale.At(mark.Lower), at - 4, scale.At(mark.Lower), at + 4, good ? "whisker good" : "whisker bad");
            svg.Line(scale.At(mark.Upper), at - 4, scale.At(mark.Upper), at + 4, good ? "whisker good" : "whisker bad");
            svg.Mark(good ? 0 : 1, scale.At(mark.Median), at, 5, good ? "good" : "bad", $"{mark.Label} against {mark.Against}: {mark.Text}, {(good ? "reached" : "not reached")}");
        }
        return svg.Close();
    }
}
