using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using Spectre.Console;
using VmShunt.Perf.Measure;
using VmShunt.Perf.Report;

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
        dump ?? new CrashDumpResult("trap", 4216, "cd", "ef", true), new MachineResult("cpu", 2, "6.1", ".NET 10"));

    [Fact]
    public void The_JSON_has_exactly_the_keys_of_the_contract_in_order()
    {
        using JsonDocument json = JsonDocument.Parse(Result().ToJson());
        JsonElement root = json.RootElement;
        Assert.Equal("disk hashes transition paths crashDump machine", Keys(root));
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
    public void Without_a_crash_the_keys_stay_and_are_null()
    {
        using JsonDocument json = JsonDocument.Parse(Result(new CrashDumpResult(null, null, null, null, null)).ToJson());
        JsonElement dump = json.RootElement.GetProperty("crashDump");
        Assert.Equal("road bytes sha256 memorySha256 verified", Keys(dump));
        Assert.All(dump.EnumerateObject(), static p => Assert.Equal(JsonValueKind.Null, p.Value.ValueKind));
    }

    [Fact]
    public void The_report_needs_nothing_from_elsewhere_and_leaves_no_gap()
    {
        var html = HtmlReport.Build(Result(), ["a <note>"]);
        Assert.DoesNotContain("{{", html, StringComparison.Ordinal);
        Assert.DoesNotMatch("(?i)(src|href)\\s*=|url\\(|<script|@import", html);
        Assert.Contains("a &lt;note&gt;", html, StringComparison.Ordinal);
        Assert.Contains("&lt;disk&gt;&amp;.img", html, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_picture_is_well_formed_and_inside_its_frame()
    {
        MatchCollection pictures = Regex.Matches(HtmlReport.Build(Result(), []), "<svg.*?</svg>", RegexOptions.Singleline);
        Assert.NotEmpty(pictures);
        foreach (Match picture in pictures)
        {
            XElement svg = XElement.Parse(picture.Value);
            double[] frame = [.. svg.Attribute("viewBox")!.Value.Split(' ').Select(double.Parse)];
            Assert.All(svg.Descendants().Attributes("x").Concat(svg.Descendants().Attributes("cx")), a => Assert.InRange(double.Parse(a.Value), 0, frame[2]));
            Assert.All(svg.Descendants().Attributes("y").Concat(svg.Descendants().Attributes("cy")), a => Assert.InRange(double.Parse(a.Value), 0, frame[3]));
        }
    }

    [Fact]
    public void Ratios_give_the_slower_path_as_a_share_of_the_faster()
    {
        var line = Ratios.Describe(Result().Paths).First();
        Assert.Contains("trap/ring 0.001", line, StringComparison.Ordinal);
        Assert.Contains("ring/direct 0.1", line, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(180)]
    [InlineData(128)]
    [InlineData(80)]
    public void The_table_keeps_every_figure_in_one_piece_on_any_terminal(int width)
    {
        using var output = new StringWriter();
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(output) });
        console.Profile.Width = width;
        PathTable.Write(console, [Path("alternate", "randread", 4096, 32, 1_234_567) with { P999Microseconds = 1_234_567, HostCpuMicrosecondsPerRequest = 12_345, TrapsPerRequest = 16.02 }]);
        Assert.All(["alternate", "1,234,567", "12,345", "16.02", "p99.9 µs", "hyperv."], text => Assert.Contains(text, output.ToString(), StringComparison.Ordinal));
    }

    private static string Keys(JsonElement element) => string.Join(' ', element.EnumerateObject().Select(static p => p.Name));
}
