using System.Globalization;
using System.Text;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Report;
using VmShunt.Perf.Report.Charts;

namespace VmShunt.Perf.Compare.Output;

/// <summary>The table of ratios as rows of HTML, each with a picture of how far it is past its target.</summary>
internal static class VerdictRows
{
    internal static string Build(CompareResult result)
    {
        var text = new StringBuilder();
        foreach (var row in result.Rows)
        {
            foreach (var verdict in row.Verdicts)
            {
                var (style, sign) = CompareAnswers.Sign(verdict);
                text.Append(CultureInfo.InvariantCulture, $"<tr><td class=\"work\">{Svg.Escape(verdict.Work)}<span class=\"against\">{(verdict.Unit == "×" ? "against " : "")}{Svg.Escape(verdict.Against)}</span></td>");
                text.Append(CultureInfo.InvariantCulture, $"<td class=\"figure\"><b>{Svg.Escape(verdict.ValueText)}</b></td><td class=\"asked\">{Svg.Escape(verdict.Target?.Text ?? "–")}</td><td class=\"bar\">{Bar(verdict)}</td>");
                text.Append(CultureInfo.InvariantCulture, $"<td class=\"quartiles\">{Svg.Escape(verdict.SpreadText)}</td><td class=\"end {style}\">{sign} {VerdictTable.Word(verdict)}{(row.Disturbed ? $" <span class=\"disturbed\">{Disturbance.Mark}</span>" : "")}</td></tr>\n");
            }
        }
        return text.ToString();
    }

    /// <summary>What a reader of the ratios must know: the notes of one against stand together.</summary>
    internal static string Notes(CompareResult result) => string.Concat(result.Rows
        .SelectMany(static row => row.Verdicts)
        .SelectMany(static verdict => verdict.Notes.Select(note => (Of: verdict.Unit == "×" ? verdict.Against : "Allocation", Note: note)))
        .Distinct().GroupBy(static one => one.Of)
        .Select(static group => $"<li><b>{Svg.Escape(group.Key)}</b>: {Svg.Escape(string.Join("; ", group.Select(static one => one.Note)))}</li>\n"));

    private static string Bar(Verdict verdict)
    {
        // A target of zero has no distance.
        if (verdict is not { Value: { Median: > 0 } value, Target: { Value: > 0 } target }) return "";
        double Past(double figure) => target.Bound == Bound.AtLeast ? figure / target.Value : target.Value / Math.Max(figure, 1e-9);
        double a = Past(value.Lower), b = Past(value.Upper);
        return TargetBar.Draw($"{verdict.ValueText}, quartiles {verdict.SpreadText}, asked {target.Text}: {VerdictTable.Word(verdict)}", new TargetMark(Past(value.Median), Math.Min(a, b), Math.Max(a, b)));
    }
}
