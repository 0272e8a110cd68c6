using System.Globalization;
using VmShunt.Perf.Compare.Model;

namespace VmShunt.Perf.Compare.Output;

/// <summary>The warning about disturbed rows, the same in the terminal, in Markdown and in HTML.</summary>
internal static class Disturbance
{
    /// <summary>Stands beside every figure of a disturbed row.</summary>
    internal const string Mark = "(disturbed)";

    /// <summary>The warning of a whole run.</summary>
    internal static string Sentence(CompareResult result)
    {
        RowResult[] disturbed = [.. result.Rows.Where(static row => row.Disturbed)];
        if (disturbed.Length == 0) return "No row was disturbed.";
        var names = string.Join("; ", disturbed.Select(static row => $"{row.Title} ({Share(row)})"));
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{disturbed.Length} of {result.Rows.Count} rows {(disturbed.Length == 1 ? "was" : "were")} disturbed by the CPU time of other processes; do not quote figures marked {Mark}. Disturbed: {names}.");
    }

    /// <summary>The warning of one row; empty if it was not disturbed.</summary>
    internal static IEnumerable<string> Of(RowResult row) => row.Disturbed ? [$"{Mark} other processes used {Share(row)}"] : [];

    private static string Share(RowResult row) => string.Create(CultureInfo.InvariantCulture, $"up to {row.ForeignCpu * 100:0} % of a core");
}
