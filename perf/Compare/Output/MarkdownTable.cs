using System.Globalization;
using System.Text;
using VmShunt.Perf.Compare.Model;

namespace VmShunt.Perf.Compare.Output;

/// <summary>The table of ratios as Markdown, to be pasted where people read it.</summary>
internal static class MarkdownTable
{
    internal static string Build(CompareResult result)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{result.Machine.Cores} cores of {result.Machine.Cpu}, Linux {result.Machine.Kernel}, {result.Machine.Runtime}, {result.Date:yyyy-MM-dd}, `{result.Command}`:\n\n");
        text.Append("| work | against | to reach | measured | quartiles | |\n|---|---|---|---|---|---|\n");
        foreach (var row in result.Rows)
        {
            foreach (var verdict in row.Verdicts)
            {
                string[] cells =
                [
                    verdict.Work, verdict.Against, verdict.Target?.Text ?? "–", verdict.ValueText, verdict.SpreadText,
                    (VerdictTable.Word(verdict) + (row.Disturbed ? $" {Disturbance.Mark}" : "")).TrimStart(),
                ];
                text.Append("| ").AppendJoin(" | ", cells.Select(static cell => cell.Replace("|", "\\|", StringComparison.Ordinal))).Append(" |\n");
            }
        }
        text.Append(CultureInfo.InvariantCulture, $"\nCalibration, median of the run: {Calibration(result)}. {string.Join(", ", result.Programs.Select(static one => one.Value.StartsWith(one.Key, StringComparison.Ordinal) ? one.Value : $"{one.Key} {one.Value}"))}. {VerdictTable.Summary(result)} {Disturbance.Sentence(result)}\n");
        return text.ToString();
    }

    /// <summary>What the machine could do during the run, the median of all rows' rounds.</summary>
    internal static string Calibration(CompareResult result) => string.Join(", ", result.Rows
        .SelectMany(static row => row.Calibration)
        .GroupBy(static one => one.Name)
        .Select(static one => string.Create(CultureInfo.InvariantCulture, $"{one.Key} {Spread.Of(one.SelectMany(static yardstick => yardstick.Rounds)).Median:N0} ns")));
}
