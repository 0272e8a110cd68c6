namespace VmShunt.Perf.Mutants;

/// <summary>The column <c>mutant</c> of docs/patent-map.md and docs/conformance.md: per row its mutants that were killed, with the date.</summary>
internal static class MutantMaps
{
    /// <summary>A row without a killed mutant.</summary>
    internal const string None = "–";

    /// <summary>A cell that begins so is kept: the statement cannot be made false by a change.</summary>
    internal const string Definition = "definition";

    private const string Column = "mutant";

    internal static IReadOnlyList<string> Pages { get; } = ["patent-map.md", "conformance.md"];

    /// <summary>The page with its columns as the results say.</summary>
    internal static string Write(string page, IReadOnlyList<Mutant> mutants, IReadOnlyDictionary<string, MutantResult> results)
    {
        var lines = page.Split('\n');
        var width = 0;
        for (var i = 0; i < lines.Length; i++)
        {
            var cells = Cells(lines[i]);
            if (cells.Count == 0)
            {
                width = 0;
            }
            else if (width > 0)
            {
                lines[i] = Line([.. cells.Take(width), IsRule(cells) ? "---" : Cell(cells, width, mutants, results)]);
            }
            else if (cells is [.., "test"] or [.., "test", Column])
            {
                width = cells.IndexOf("test") + 1;
                lines[i] = Line([.. cells.Take(width), Column]);
            }
        }
        return string.Join('\n', lines);
    }

    /// <summary>The mutants of a row: they name its first cell, or one of the words there, and share a test with it.</summary>
    internal static IEnumerable<Mutant> Of(IReadOnlyList<string> cells, IEnumerable<Mutant> mutants) =>
        mutants.Where(mutant => cells[0].Split(", ").Prepend(cells[0]).Any(mutant.Rows.Contains)
            && cells.Any(cell => mutant.Tests.Any(test => cell.Contains($"`{test}`", StringComparison.Ordinal))));

    /// <summary>The cells of a table's line; none of another line.</summary>
    internal static List<string> Cells(string line) =>
        line.StartsWith('|') ? [.. line.Trim()[1..^1].Split('|', StringSplitOptions.TrimEntries)] : [];

    private static bool IsRule(IEnumerable<string> cells) => cells.All(static cell => cell.StartsWith("---", StringComparison.Ordinal));

    private static string Cell(List<string> cells, int width, IEnumerable<Mutant> mutants, IReadOnlyDictionary<string, MutantResult> results)
    {
        if (cells.Count > width && cells[width].StartsWith(Definition, StringComparison.Ordinal)) return cells[width];
        var killed = Of(cells, mutants)
            .Where(mutant => results.TryGetValue(mutant.Name, out var result) && result.IsKilled)
            .Select(mutant => $"`{mutant.Name}` {results[mutant.Name].Date}");
        return string.Join(", ", killed) is { Length: > 0 } cell ? cell : None;
    }

    private static string Line(IReadOnlyList<string> cells) => IsRule(cells) ? $"|{string.Join('|', cells)}|" : $"| {string.Join(" | ", cells)} |";
}
