namespace VmShunt.Perf.Launch.Report.Charts;

/// <summary>A bar with its label, its parts and the text at its end.</summary>
internal sealed record Bar(string Label, IReadOnlyList<BarPart> Parts, string Text);

/// <param name="Style">A class of the page's style sheet.</param>
/// <param name="Name">The name of the part, for the tooltip.</param>
/// <param name="Value">Its size.</param>
internal sealed record BarPart(string Style, string Name, double Value);

/// <summary>Stacked horizontal bars on a linear scale from 0.</summary>
internal static class BarChart
{
    private const double Row = 26, BarHeight = 16;

    internal static string Draw(string description, IReadOnlyList<Bar> bars)
    {
        var svg = new Svg((bars.Count * Row) + 4, description);
        var left = bars.Max(static bar => Svg.WidthOf(bar.Label)) is var longest and > 0 ? Math.Clamp(longest, 30, 160) + 10 : 2;
        // The largest scale at which every bar's text still fits at its end.
        var perUnit = bars.Where(static bar => Total(bar) > 0).Select(bar => (Svg.Width - left - TextRoom(bar)) / Total(bar)).DefaultIfEmpty(0).Min();
        for (var i = 0; i < bars.Count; i++)
        {
            double y = (i * Row) + 4, x = left;
            svg.Text(left - 6, y + 12, "end", Svg.Shorten(bars[i].Label, left - 8));
            foreach (BarPart part in bars[i].Parts)
            {
                var width = part.Value * perUnit;
                svg.Rect(x, y, width, BarHeight, part.Style, $"{bars[i].Label}, {part.Name}: {part.Value:0.###}");
                x += width;
            }
            if (bars[i].Text.Length > 0) svg.Text(x + 5, y + 12, "start", bars[i].Text);
        }
        return svg.Close();
    }

    private static double Total(Bar bar) => bar.Parts.Sum(static part => part.Value);

    private static double TextRoom(Bar bar) => bar.Text.Length == 0 ? 2 : Svg.WidthOf(bar.Text) + 10;
}
