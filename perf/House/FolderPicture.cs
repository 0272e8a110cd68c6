using System.Globalization;
using System.Text;

namespace VmShunt.Perf.House;

/// <summary>
/// Draws who uses whom: a row of boxes for each level, where a folder is one level above the highest folder that it uses;
/// lines lead down to what a folder uses, without those that another line implies.
/// </summary>
internal static class FolderPicture
{
    private const int BoxHeight = 26, LevelHeight = 64, Gap = 10, Margin = 16, LetterWidth = 7, LeastWidth = 980;

    /// <returns>An SVG file.</returns>
    internal static string Draw(FolderGraph graph)
    {
        var uses = graph.Uses.GroupBy(static use => use.From).ToDictionary(static group => group.Key, static group => group.Select(static use => use.To).ToHashSet());
        var levels = new Dictionary<string, int>();
        foreach (var folder in graph.Folders) LevelOf(folder, uses, levels);
        var rows = levels.GroupBy(static pair => pair.Value).OrderBy(static row => row.Key)
            .Select(static row => row.Select(static pair => pair.Key).Order(StringComparer.Ordinal).ToList()).ToList();
        var width = Math.Max(LeastWidth, rows.Max(row => row.Sum(static folder => BoxWidth(folder) + Gap)) + (2 * Margin));
        var height = (rows.Count * LevelHeight) + (2 * Margin);
        var places = Arrange(rows, uses, width, height);

        var svg = new StringBuilder();
        Append(svg, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"ui-monospace, monospace\" font-size=\"11.5\" role=\"img\" aria-label=\"The folders of src in levels; each uses only folders below it\">\n");
        svg.Append("""
              <style>
                .bg { fill: #ffffff } rect { stroke: #8794ab } text { fill: #1d2636 } path { fill: none; stroke: #a9b4c8 }
                .Ring { fill: #dff3ee } .Trap { fill: #fdebdd } .Guest { fill: #e6edfb } .HostPartition { fill: #f5e8f7 } .Hypervisor { fill: #fff4d6 } .PhysicalMachine { fill: #eeeeee }
                @media (prefers-color-scheme: dark) {
                  .bg { fill: #12161f } text { fill: #e6ebf5 } path { stroke: #4d5a73 }
                  .Ring { fill: #12403a } .Trap { fill: #4a2a12 } .Guest { fill: #1e2d4f } .HostPartition { fill: #40224a } .Hypervisor { fill: #4a3a10 } .PhysicalMachine { fill: #333333 }
                }
              </style>

            """);
        Append(svg, $"  <rect class=\"bg\" width=\"{width}\" height=\"{height}\" stroke=\"none\"/>\n");
        foreach (var (from, targets) in uses.OrderBy(static pair => pair.Key, StringComparer.Ordinal))
        {
            foreach (var to in targets.Where(to => !IsImplied(from, to, uses)).Order(StringComparer.Ordinal))
            {
                var ((x1, y1), (x2, y2)) = (places[from], places[to]);
                Append(svg, $"  <path d=\"M{x1} {y1 + BoxHeight} C{x1} {y1 + BoxHeight + 24} {x2} {y2 - 24} {x2} {y2}\"><title>{from} uses {to}</title></path>\n");
            }
        }
        foreach (var (folder, (x, y)) in places.OrderBy(static pair => pair.Key, StringComparer.Ordinal))
        {
            var box = BoxWidth(folder);
            var used = uses.TryGetValue(folder, out var targets) ? string.Join(", ", targets.Order(StringComparer.Ordinal)) : "nothing of ours";
            Append(svg, $"  <rect class=\"{folder.Split('/')[1]}\" x=\"{x - (box / 2)}\" y=\"{y}\" width=\"{box}\" height=\"{BoxHeight}\" rx=\"4\"><title>{folder} uses {used}</title></rect>\n");
            Append(svg, $"  <text x=\"{x}\" y=\"{y + 17}\" text-anchor=\"middle\">{Label(folder)}</text>\n");
        }
        return svg.Append("</svg>\n").ToString();
    }

    private static int LevelOf(string folder, Dictionary<string, HashSet<string>> uses, Dictionary<string, int> levels)
    {
        if (levels.TryGetValue(folder, out var known)) return known;
        // A circle would never end; there is none, which a test holds.
        levels[folder] = 0;
        return levels[folder] = uses.TryGetValue(folder, out var targets) ? targets.Max(target => LevelOf(target, uses, levels)) + 1 : 0;
    }

    /// <summary>Rows from the bottom up, each sorted by where its folders' targets lie, which keeps lines short.</summary>
    private static Dictionary<string, (int X, int Y)> Arrange(List<List<string>> rows, Dictionary<string, HashSet<string>> uses, int width, int height)
    {
        var places = new Dictionary<string, (int X, int Y)>();
        for (var level = 0; level < rows.Count; level++)
        {
            var row = rows[level].OrderBy(folder => uses.TryGetValue(folder, out var targets) ? targets.Average(target => places[target].X) : 0).ThenBy(static folder => folder, StringComparer.Ordinal).ToList();
            var free = width - (2 * Margin) - row.Sum(BoxWidth);
            var gap = Math.Max(Gap, free / (row.Count + 1));
            var x = (width - (row.Sum(BoxWidth) + (gap * (row.Count - 1)))) / 2;
            foreach (var folder in row)
            {
                places[folder] = (x + (BoxWidth(folder) / 2), height - Margin - ((level + 1) * LevelHeight) + ((LevelHeight - BoxHeight) / 2));
                x += BoxWidth(folder) + gap;
            }
        }
        return places;
    }

    private static bool IsImplied(string from, string to, Dictionary<string, HashSet<string>> uses) =>
        uses[from].Any(other => other != to && Reaches(other, to, uses));

    private static bool Reaches(string from, string to, Dictionary<string, HashSet<string>> uses) =>
        uses.TryGetValue(from, out var targets) && (targets.Contains(to) || targets.Any(next => Reaches(next, to, uses)));

    private static string Label(string folder) => folder["src/".Length..].Replace("HostPartition", "Host", StringComparison.Ordinal).Replace("Guest/Kernel", "Kernel", StringComparison.Ordinal);

    private static int BoxWidth(string folder) => (Label(folder).Length * LetterWidth) + 14;

    private static void Append(StringBuilder svg, FormattableString text) => svg.Append(text.ToString(CultureInfo.InvariantCulture));
}
