using System.Globalization;
using System.Text;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Launch.Model;
using VmShunt.Perf.Launch.Report;
using VmShunt.Perf.Launch.Report.Charts;

namespace VmShunt.Perf.Compare.Output;

/// <summary>The report of a comparison: one self-contained HTML file. <c>compare.html</c> is its template.</summary>
internal static class CompareReport
{
    internal static string Build(CompareResult result)
    {
        var figures = new CompareFigures(result);
        return Page.Read("compare.html", typeof(CompareReport).Assembly)
            .Replace("{{style}}", Page.Read("report.css"), StringComparison.Ordinal)
            .Replace("{{byline}}", Svg.Escape(Byline(result)), StringComparison.Ordinal)
            .Replace("{{warnings}}", Warnings(result), StringComparison.Ordinal)
            .Replace("{{answers}}", CompareAnswers.Build(result), StringComparison.Ordinal)
            .Replace("{{verdicts}}", VerdictRows.Build(result), StringComparison.Ordinal)
            .Replace("{{notes}}", VerdictRows.Notes(result), StringComparison.Ordinal)
            .Replace("{{hops}}", figures.Hops(), StringComparison.Ordinal)
            .Replace("{{depths}}", figures.OverDepth(), StringComparison.Ordinal)
            .Replace("{{blocks}}", figures.OverBlockSize(), StringComparison.Ordinal)
            .Replace("{{latency}}", figures.Latency(), StringComparison.Ordinal)
            .Replace("{{cpu}}", figures.Cpu(), StringComparison.Ordinal)
            .Replace("{{facts}}", Facts(result), StringComparison.Ordinal)
            .Replace("{{speed}}", Table(result, Speed), StringComparison.Ordinal)
            .Replace("{{cost}}", Table(result, Cpu), StringComparison.Ordinal);
    }

    private static string Byline(CompareResult result) => string.Create(
        CultureInfo.InvariantCulture,
        $"{result.Date:yyyy-MM-dd}, {(result.Commit.Length > 0 ? $"commit {result.Commit}, " : "")}{result.Machine.Cores} processors of {result.Machine.Cpu}.{(result.Disturbed ? "" : $" {Disturbance.Sentence(result)}")}");

    private static string Warnings(CompareResult result) =>
        result.Disturbed ? $"<p class=\"warning\" role=\"note\">{Svg.Escape(Disturbance.Sentence(result))}</p>" : "";

    private static string Facts(CompareResult result)
    {
        var text = new StringBuilder();
        void Add(string name, string value) => text.Append(CultureInfo.InvariantCulture, $"<dt>{name}</dt><dd>{Svg.Escape(value)}</dd>\n");
        Add("Date", string.Create(CultureInfo.InvariantCulture, $"{result.Date:yyyy-MM-dd HH:mm} UTC, {result.Seconds:N0} s"));
        Add("Command", result.Command);
        Add("Commit", result.Commit.Length > 0 ? result.Commit : "unknown (no git repository)");
        Add("Machine", $"{result.Machine.Cpu}, {result.Machine.Cores} processors, Linux {result.Machine.Kernel}, {result.Machine.Runtime}");
        foreach (var (program, version) in result.Programs) Add(program, version.Replace(program + " version ", "", StringComparison.Ordinal));
        if (result.Rows.Any(static row => row.Calibration.Count > 0)) Add("Calibration", MarkdownTable.Calibration(result));
        return text.ToString();
    }

    private static string Table(CompareResult result, Func<Measurement, string[]> figures)
    {
        var text = new StringBuilder();
        foreach (var row in result.Rows)
        {
            foreach (var one in row.Measurements)
            {
                var workload = one.Inputs.BlockBytes == 0 ? one.Inputs.Operation : $"{one.Inputs.Operation} {MemorySize.Format(one.Inputs.BlockBytes)} ×{one.Inputs.Depth}{(one.Inputs.Guests > 1 ? $", {one.Inputs.Guests} guests" : "")}";
                string[] cells = [row.Id, one.Subject, workload, .. figures(one)];
                text.Append("<tr>").AppendJoin("", cells.Select(static cell => $"<td>{Svg.Escape(cell)}</td>")).Append("</tr>\n");
            }
        }
        return text.ToString();
    }

    private static string[] Speed(Measurement one)
    {
        var iops = one.Of(static sample => sample.Iops);
        string Latency(Func<Sample, double?> figure) => one.Rounds[0].P50 is null ? "–" : Verdict.Number(one.Of(sample => figure(sample) ?? 0).Median);
        return
        [
            $"{one.Rounds.Count}", $"{iops.Median:N0}", $"{iops.Lower:N0} … {iops.Upper:N0}", $"{one.MegabytesPerSecond:N0}",
            Latency(static s => s.P50), Latency(static s => s.P99), Latency(static s => s.P999),
        ];
    }

    private static string[] Cpu(Measurement one) =>
    [
        Verdict.Number(one.Of(static s => s.GuestCpu).Median), Verdict.Number(one.Of(static s => s.HostCpu).Median), Verdict.Number(one.Of(static s => s.HypervisorCpu).Median),
        $"{one.Of(static s => s.ForeignCpu).Upper * 100:0} %",
    ];
}
