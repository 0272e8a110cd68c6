namespace VmShunt.Perf.Report.Charts;

/// <summary>A row of a bar chart: a path and its parts.</summary>
internal sealed record Bar(string Label, IReadOnlyList<BarPart> Parts, string Text);

/// <param name="Style">A class of the page's style sheet.</param>
/// <param name="Name">What the part is, for the tip.</param>
/// <param name="Value">Its size.</param>
internal sealed record BarPart(string Style, string Name, double Value);

/// <summary>Stacked horizontal bars on a linear scale from 0, each with its text at the end.</summary>
internal static class BarChart
{
    private const double Row = 26, BarHeight = 16;

    internal static string Draw(string description, IReadOnlyList<Bar> bars)
    {
        var svg = new Svg((bars.Count * Row) + 4, description);
        double left = Room(bars.Select(static bar => bar.Label)), right = Room(bars.Select(static bar => bar.Text)), most = bars.Max(static bar => bar.Parts.Sum(static part => part.Value));
        var room = Svg.Width - left - right;
        for (var i = 0; i < bars.Count; i++)
        {
            double y = (i * Row) + 4, x = left;
            svg.Text(left - 6, y + 12, "end", Svg.Shorten(bars[i].Label, left - 8));
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

    private static double Room(IEnumerable<string> texts) => texts.All(static text => text.Length == 0) ? 2 : Math.Clamp(texts.Max(static text => text.Length) * Svg.Character, 40, 160) + 10;
}
