using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using Spectre.Console;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Launch.Model;
using VmShunt.Perf.Launch.Report;
using VmShunt.Perf.Measure;

namespace VmShunt.Tests.Perf;

public class ReportTests
{
    private static PathResult Path(string path, string operation, int blockSize, int depth, double iops) => new(
        path, operation, blockSize, depth, 1000, iops, iops * blockSize / 1e6, 10, 20, 30, 40, path == "trap" ? 6 : 0, 0.5, 0.25, 0, 0, 5, 4, path == "trap" ? 3 : 0);

    private static LaunchResult Result(CrashDumpResult? dump = null) => new(
        new DiskResult("<disk>&.img", 1000001, "ab"), new HashResult("ab", "ab", "ab"), new TransitionResult(64, 1000, 0, 12.5),
        [
            .. DiskPath.All.SelectMany((path, i) => new[]
            {
                Path(path, "randread", 4096, 1, Math.Pow(10, i + 3)), Path(path, "randread", 4096, 32, Math.Pow(10, i + 3) * 2), Path(path, "read", 1 << 20, 4, 100),
            }),
        ],
        dump ?? new CrashDumpResult("trap", 4216, "cd", "ef", true), new MachineResult("cpu", 2, "6.1", ".NET 10"))
    {
        Date = new DateTime(2026, 1, 2, 3, 4, 5, DateTimeKind.Utc),
        Command = "launch --quick",
        Commit = "abc+",
    };

    [Fact]
    public void The_JSON_has_exactly_the_keys_of_the_contract_in_order()
    {
        using JsonDocument json = JsonDocument.Parse(Result().ToJson());
        JsonElement root = json.RootElement;
        Assert.Equal("disk hashes transition paths crashDump machine date command commit disturbed", Keys(root));
        Assert.Equal("path bytes sha256", Keys(root.GetProperty("disk")));
        Assert.Equal("trap shunted ring", Keys(root.GetProperty("hashes")));
        Assert.Equal("inFlight completed failed maxPauseMicroseconds", Keys(root.GetProperty("transition")));
        Assert.Equal(
            "path operation blockSize queueDepth requests iops megabytesPerSecond p50Microseconds p99Microseconds p999Microseconds maxMicroseconds "
            + "trapsPerRequest kicksPerRequest callsPerRequest copiesPerRequest allocatedBytesPerRequest "
            + "guestCpuMicrosecondsPerRequest hostCpuMicrosecondsPerRequest hypervisorCpuMicrosecondsPerRequest",
            Keys(root.GetProperty("paths")[0]));
        Assert.Equal("road bytes sha256 memorySha256 verified", Keys(root.GetProperty("crashDump")));
        Assert.Equal("cpu cores kernel runtime", Keys(root.GetProperty("machine")));
    }

    [Fact]
    public void Without_a_crash_the_keys_exist_and_are_null()
    {
        using JsonDocument json = JsonDocument.Parse(Result(new CrashDumpResult(null, null, null, null, null)).ToJson());
        JsonElement dump = json.RootElement.GetProperty("crashDump");
        Assert.Equal("road bytes sha256 memorySha256 verified", Keys(dump));
        Assert.All(dump.EnumerateObject(), static p => Assert.Equal(JsonValueKind.Null, p.Value.ValueKind));
    }

    [Fact]
    public void The_report_is_self_contained_and_every_placeholder_is_filled()
    {
        var html = HtmlReport.Build(Result(), ["a <note>"]);
        Assert.DoesNotContain("{{", html, StringComparison.Ordinal);
        Assert.DoesNotMatch("(?i)(src|href)\\s*=|url\\(|<script|@import", html);
        Assert.Contains("a &lt;note&gt;", html, StringComparison.Ordinal);
        Assert.Contains("&lt;disk&gt;&amp;.img", html, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_chart_is_well_formed_and_inside_its_frame()
    {
        MatchCollection charts = Regex.Matches(HtmlReport.Build(Result(), []), "<svg.*?</svg>", RegexOptions.Singleline);
        Assert.NotEmpty(charts);
        foreach (Match chart in charts)
        {
            XElement svg = XElement.Parse(chart.Value);
            double[] frame = [.. svg.Attribute("viewBox")!.Value.Split(' ').Select(double.Parse)];
            Assert.All(svg.Descendants().Attributes("x").Concat(svg.Descendants().Attributes("cx")), a => Assert.InRange(double.Parse(a.Value), 0, frame[2]));
            Assert.All(svg.Descendants().Attributes("y").Concat(svg.Descendants().Attributes("cy")), a => Assert.InRange(double.Parse(a.Value), 0, frame[3]));
        }
    }

    [Fact]
    public void Ratios_compare_the_requests_per_second_of_the_ring_with_each_other_path()
    {
        var line = Ratios.Describe(Result().Paths).First();
        Assert.Contains("1,000 × vs trap", line, StringComparison.Ordinal);
        Assert.Contains("0.1 × vs direct", line, StringComparison.Ordinal);
    }

    [Fact]
    public void The_report_names_date_command_and_commit()
    {
        var html = HtmlReport.Build(Result(), []);
        Assert.All(["2026-01-02 03:04 UTC", "launch --quick", "abc+"], text => Assert.Contains(text, html, StringComparison.Ordinal));
    }

    [Fact]
    public void A_disturbed_launch_reports_the_disturbance_and_no_ratio()
    {
        LaunchResult disturbed = Result() with { Disturbed = true, ForeignCpu = 0.34 };
        string html = HtmlReport.Build(disturbed, []), output = Written(disturbed);
        foreach (var text in new[] { html, output })
        {
            Assert.Contains("Disturbed: other processes used 34 % of a core", text, StringComparison.Ordinal);
            Assert.DoesNotContain("× vs", text, StringComparison.Ordinal);
        }
        Assert.DoesNotContain("vs trap", html, StringComparison.Ordinal);
        Assert.Contains("Ring vs trap", HtmlReport.Build(Result(), []), StringComparison.Ordinal);
        Assert.Contains("× vs trap", Written(Result()), StringComparison.Ordinal);
        using JsonDocument json = JsonDocument.Parse(disturbed.ToJson());
        Assert.True(json.RootElement.GetProperty("disturbed").GetBoolean());
    }

    private static string Written(LaunchResult result)
    {
        using var output = new StringWriter();
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(output) });
        console.Profile.Width = 1000;
        LaunchOutput.Write(result, new LaunchOptions(), new ProgressLog(console));
        return output.ToString();
    }

    [Theory]
    [InlineData(180)]
    [InlineData(128)]
    [InlineData(80)]
    public void The_table_wraps_no_figure_on_a_narrow_terminal(int width)
    {
        using var output = new StringWriter();
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(output) });
        console.Profile.Width = width;
        PathTable.Write(console, [Path("alternate", "randread", 4096, 32, 1_234_567) with { P999Microseconds = 1_234_567, HostCpuMicrosecondsPerRequest = 12_345, TrapsPerRequest = 16.02 }]);
        Assert.All(["alternate", "1,234,567", "12,345", "16.02", "p99.9 µs", "hyperv."], text => Assert.Contains(text, output.ToString(), StringComparison.Ordinal));
    }

    private static string Keys(JsonElement element) => string.Join(' ', element.EnumerateObject().Select(static p => p.Name));
}
