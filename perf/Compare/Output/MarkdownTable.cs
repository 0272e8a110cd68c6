using System.Globalization;
using System.Text;
using VmShunt.Perf.Compare.Model;

namespace VmShunt.Perf.Compare.Output;

/// <summary>The verdicts as Markdown tables, one per direction.</summary>
internal static class MarkdownTable
{
    internal static string Build(CompareResult result)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{result.Machine.Cores} cores of {result.Machine.Cpu}, Linux {result.Machine.Kernel}, {result.Machine.Runtime}, {result.Date:yyyy-MM-dd}{(result.Commit.Length > 0 ? $", commit `{result.Commit}`" : "")}, `{result.Command}`:\n");
        foreach (var group in VerdictGroup.Of(result))
        {
            text.Append(CultureInfo.InvariantCulture, $"\n**{group.Title}**\n\n| {string.Join(" | ", VerdictTable.Columns)} |\n|{string.Concat(VerdictTable.Columns.Select(static _ => "---|"))}\n");
            foreach (var (row, verdict) in group.Verdicts)
            {
                string[] cells =
                [
                    verdict.Work, verdict.Against, verdict.Target?.Text ?? "–", verdict.ValueText, verdict.SpreadText,
                    (VerdictTable.Word(verdict) + (row.Disturbed ? $" {Disturbance.Mark}" : "")).TrimStart(),
                ];
                text.Append("| ").AppendJoin(" | ", cells.Select(static cell => cell.Replace("|", "\\|", StringComparison.Ordinal))).Append(" |\n");
            }
        }
        var programs = result.Programs.Select(static one => one.Value.StartsWith(one.Key, StringComparison.Ordinal) ? one.Value : $"{one.Key} {one.Value}");
        text.Append(CultureInfo.InvariantCulture, $"\nCalibration, median of the run: {Calibration(result)}. {string.Join(", ", programs)}. {VerdictTable.Summary(result)} {Disturbance.Sentence(result)}\n");
        return text.ToString();
    }

    /// <summary>The median of each calibration over all rounds of all rows.</summary>
    internal static string Calibration(CompareResult result) => string.Join(", ", result.Rows
        .SelectMany(static row => row.Calibration)
        .GroupBy(static one => one.Name)
        .Select(static one => string.Create(CultureInfo.InvariantCulture, $"{one.Key} {Spread.Of(one.SelectMany(static yardstick => yardstick.Rounds)).Median:N0} ns")));
}
