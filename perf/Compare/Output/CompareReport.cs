using System.Globalization;
using System.Text;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Report;

namespace VmShunt.Perf.Compare.Output;

/// <summary>The report of a comparison: one HTML file that needs nothing else (<c>compare.html</c> is its template).</summary>
internal static class CompareReport
{
    internal static string Build(CompareResult result) => Page.Read("compare.html")
        .Replace("{{style}}", Page.Read("report.css"), StringComparison.Ordinal)
        .Replace("{{summary}}", Svg.Escape(VerdictTable.Summary(result)), StringComparison.Ordinal)
        .Replace("{{warnings}}", Warnings(result), StringComparison.Ordinal)
        .Replace("{{facts}}", Facts(result), StringComparison.Ordinal)
        .Replace("{{targets}}", CompareFigures.Targets(result), StringComparison.Ordinal)
        .Replace("{{verdicts}}", Verdicts(result), StringComparison.Ordinal)
        .Replace("{{notes}}", string.Concat(VerdictTable.Notes(result).Select(static note => $"<li>{Svg.Escape(note)}</li>\n")), StringComparison.Ordinal)
        .Replace("{{depths}}", CompareFigures.OverDepth(result), StringComparison.Ordinal)
        .Replace("{{latency}}", CompareFigures.Latency(result), StringComparison.Ordinal)
        .Replace("{{blocks}}", CompareFigures.OverBlockSize(result), StringComparison.Ordinal)
        .Replace("{{hops}}", CompareFigures.Hops(result), StringComparison.Ordinal)
        .Replace("{{cpu}}", CompareFigures.Cpu(result), StringComparison.Ordinal)
        .Replace("{{table}}", Table(result), StringComparison.Ordinal);

    private static string Warnings(CompareResult result)
    {
        var disturbed = result.Rows.Where(static row => row.Disturbed).ToArray();
        return disturbed.Length == 0
            ? ""
            : $"<p class=\"warning\" role=\"note\">The machine was disturbed: other processes took CPU time while these rows were measured, and their figures should not be quoted. {Svg.Escape(string.Join("; ", disturbed.Select(static row => string.Create(CultureInfo.InvariantCulture, $"{row.Title} ({row.ForeignCpu * 100:0} % of a core)"))))}.</p>";
    }

    private static string Facts(CompareResult result)
    {
        var text = new StringBuilder();
        void Add(string name, string value) => text.Append(CultureInfo.InvariantCulture, $"<dt>{name}</dt><dd>{Svg.Escape(value)}</dd>\n");
        Add("When", string.Create(CultureInfo.InvariantCulture, $"{result.Date:yyyy-MM-dd HH:mm} UTC, {result.Seconds:N0} s"));
        Add("Command", result.Command);
        if (result.Commit.Length > 0) Add("Commit", result.Commit);
        Add("Machine", $"{result.Machine.Cpu}, {result.Machine.Cores} processors, Linux {result.Machine.Kernel}, {result.Machine.Runtime}");
        foreach (var (program, version) in result.Programs) Add(program, version.Replace(program + " version ", "", StringComparison.Ordinal));
        if (result.Rows.Any(static row => row.Calibration.Count > 0)) Add("Calibration", MarkdownTable.Calibration(result));
        return text.ToString();
    }

    private static string Verdicts(CompareResult result)
    {
        var text = new StringBuilder();
        foreach (var row in result.Rows)
        {
            foreach (var verdict in row.Verdicts)
            {
                var (style, sign) = verdict.Reached switch
                {
                    true => ("yes", "✓ "),
                    false => ("no", "✗ "),
                    null => ("", ""),
                };
                var against = Svg.Escape(verdict.Against);
                text.Append(CultureInfo.InvariantCulture, $"<tr><td>{Svg.Escape(verdict.Work)}<span class=\"against\">{against}</span></td><td class=\"wide\">{against}</td><td>{Svg.Escape(verdict.Target?.Text ?? "–")}</td><td>{Svg.Escape(verdict.ValueText)}</td><td class=\"wide\">{Svg.Escape(verdict.SpreadText)}</td><td class=\"{style}\">{sign}<span class=\"word\">{VerdictTable.Word(verdict)}</span>{(row.Disturbed ? ", disturbed" : "")}</td></tr>\n");
            }
        }
        return text.ToString();
    }

    private static string Table(CompareResult result)
    {
        var text = new StringBuilder();
        foreach (var row in result.Rows)
        {
            foreach (var one in row.Measurements)
            {
                var iops = one.Of(static sample => sample.Iops);
                string Latency(Func<Sample, double?> figure) => one.Rounds[0].P50 is null ? "–" : Verdict.Number(one.Of(sample => figure(sample) ?? 0).Median);
                var workload = one.Inputs.BlockBytes == 0 ? one.Inputs.Operation : $"{one.Inputs.Operation} {MemorySize.Format(one.Inputs.BlockBytes)} ×{one.Inputs.Depth}{(one.Inputs.Guests > 1 ? $", {one.Inputs.Guests} guests" : "")}";
                string[] cells =
                [
                    row.Id, one.Subject, workload, $"{one.Rounds.Count}", $"{iops.Median:N0}", $"{iops.Lower:N0} … {iops.Upper:N0}", $"{one.MegabytesPerSecond:N0}",
                    Latency(static s => s.P50), Latency(static s => s.P99), Latency(static s => s.P999),
                    Verdict.Number(one.Of(static s => s.GuestCpu).Median), Verdict.Number(one.Of(static s => s.HostCpu).Median), Verdict.Number(one.Of(static s => s.HypervisorCpu).Median),
                    $"{one.Of(static s => s.ForeignCpu).Upper * 100:0} %",
                ];
                text.Append("<tr>").AppendJoin("", cells.Select(static cell => $"<td>{Svg.Escape(cell)}</td>")).Append("</tr>\n");
            }
        }
        return text.ToString();
    }
}
