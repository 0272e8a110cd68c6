using System.Globalization;
using System.Text;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Launch.Report.Charts;

namespace VmShunt.Perf.Compare.Output;

/// <summary>The verdicts as HTML table rows, grouped by direction, each with a bar that shows the distance to the target.</summary>
internal static class VerdictRows
{
    internal static string Build(CompareResult result)
    {
        var text = new StringBuilder();
        foreach (var group in VerdictGroup.Of(result))
        {
            text.Append(CultureInfo.InvariantCulture, $"<tbody>\n<tr class=\"group\"><th scope=\"rowgroup\" colspan=\"7\">{Svg.Escape(group.Title)}</th></tr>\n");
            foreach (var (row, verdict) in group.Verdicts)
            {
                var (style, sign) = CompareAnswers.Sign(verdict);
                text.Append(CultureInfo.InvariantCulture, $"<tr><td class=\"work\">{Svg.Escape(verdict.Work)}</td><td class=\"against\">{Svg.Escape(verdict.Against)}</td>");
                text.Append(CultureInfo.InvariantCulture, $"<td class=\"goal\">{Svg.Escape(verdict.Target?.Text ?? "–")}</td><td class=\"figure\"><b>{Svg.Escape(verdict.ValueText)}</b></td>");
                text.Append(CultureInfo.InvariantCulture, $"<td class=\"quartiles\">{Svg.Escape(verdict.SpreadText)}</td><td class=\"bar\">{Bar(verdict)}</td>");
                text.Append(CultureInfo.InvariantCulture, $"<td class=\"end {style}\">{sign} {VerdictTable.Word(verdict)}{(row.Disturbed ? $" <span class=\"disturbed\">{Disturbance.Mark}</span>" : "")}</td></tr>\n");
            }
            text.Append("</tbody>\n");
        }
        return text.ToString();
    }

    /// <summary>The notes of all verdicts, grouped by what the verdicts compare with.</summary>
    internal static string Notes(CompareResult result) => string.Concat(result.Rows
        .SelectMany(static row => row.Verdicts)
        .SelectMany(static verdict => verdict.Notes.Select(note => (Of: verdict.Unit == "×" ? verdict.Against : "Allocation", Note: note)))
        .Distinct().GroupBy(static one => one.Of)
        .Select(static group => $"<li><b>{Svg.Escape(group.Key)}</b>: {Svg.Escape(string.Join("; ", group.Select(static one => one.Note)))}</li>\n"));

    private static string Bar(Verdict verdict)
    {
        // A target of 0 has no distance.
        if (verdict is not { Value: { Median: > 0 } value, Target: { Value: > 0 } target }) return "";
        double Past(double figure) => target.Bound == Bound.AtLeast ? figure / target.Value : target.Value / Math.Max(figure, 1e-9);
        double a = Past(value.Lower), b = Past(value.Upper);
        return TargetBar.Draw($"{verdict.ValueText}, quartiles {verdict.SpreadText}, target {target.Text}: {VerdictTable.Word(verdict)}", new TargetMark(Past(value.Median), Math.Min(a, b), Math.Max(a, b)));
    }
}
