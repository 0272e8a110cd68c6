using System.Globalization;
using VmShunt.Perf.Compare.Model;

namespace VmShunt.Perf.Compare.Output;

/// <summary>How it is said, in the terminal, in Markdown and in HTML alike, that others took CPU time meanwhile.</summary>
internal static class Disturbance
{
    /// <summary>Beside every figure of a row that was disturbed.</summary>
    internal const string Mark = "(disturbed)";

    internal static bool Is(CompareResult result) => result.Rows.Any(static row => row.Disturbed);

    /// <summary>Of the whole run.</summary>
    internal static string Sentence(CompareResult result)
    {
        RowResult[] disturbed = [.. result.Rows.Where(static row => row.Disturbed)];
        if (disturbed.Length == 0) return "No row was disturbed.";
        var names = string.Join("; ", disturbed.Select(static row => $"{row.Title} ({Share(row)})"));
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{disturbed.Length} of {result.Rows.Count} rows {(disturbed.Length == 1 ? "was" : "were")} disturbed: other processes took CPU time meanwhile, and figures marked {Mark} should not be quoted. Disturbed: {names}.");
    }

    /// <summary>Of one row; nothing where it was not disturbed.</summary>
    internal static IEnumerable<string> Of(RowResult row) => row.Disturbed ? [$"{Mark} others took {Share(row)} meanwhile"] : [];

    private static string Share(RowResult row) => string.Create(CultureInfo.InvariantCulture, $"up to {row.ForeignCpu * 100:0} % of a core");
}
