using System.Text.RegularExpressions;
using System.Xml.Linq;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Output;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Launch.Report;
using VmShunt.Perf.Launch.Report.Charts;
using VmShunt.Tests.Architecture;

namespace VmShunt.Tests.Perf;

public class CompareReportTests
{
    private static CompareResult Kept() =>
        CompareResult.Read(Directory.GetFiles(Path.Combine(Sources.Root, "perf", "results"), "compare.json", SearchOption.AllDirectories).Order(StringComparer.Ordinal).Last());

    private static IReadOnlyList<XElement> Charts(string html) =>
        [.. Regex.Matches(html, "<svg.*?</svg>", RegexOptions.Singleline).Select(static chart => XElement.Parse(chart.Value))];

    [Fact]
    public void The_report_is_self_contained_and_every_placeholder_is_filled()
    {
        var html = CompareReport.Build(Kept());
        Assert.DoesNotContain("{{", html, StringComparison.Ordinal);
        Assert.DoesNotMatch("(?i)(src|href)\\s*=|url\\(|<script|@import", html);
    }

    [Fact]
    public void The_cards_come_first()
    {
        var html = CompareReport.Build(Kept());
        // Headings: a card of a target that is not met may have the same words.
        string[] order =
        [
            "<h2>Ring vs trap", "<h2>VmShunt vs peers", "class=\"strip\"", "<h2>Where the time of one request goes", "<h2>Requests per second over queue depth",
            "<h2>Latency per path", "<h2>CPU time per request", "<h2>All ratios", "<h2>This run",
        ];
        int[] at = [.. order.Select(text => html.IndexOf(text, StringComparison.Ordinal))];
        Assert.All(at, static position => Assert.True(position > 0));
        Assert.Equal(at.Order(), at);
    }

    [Fact]
    public void Every_chart_is_inside_its_frame_and_has_a_text_alternative()
    {
        var charts = Charts(CompareReport.Build(Kept()));
        Assert.NotEmpty(charts);
        foreach (var svg in charts)
        {
            Assert.NotEmpty(svg.Attribute("aria-label")!.Value);
            double[] frame = [.. svg.Attribute("viewBox")!.Value.Split(' ').Select(double.Parse)];
            Assert.All(svg.Descendants().Attributes().Where(static a => a.Name.LocalName is "x" or "cx" or "x1" or "x2"), a => Assert.InRange(double.Parse(a.Value), 0, frame[2]));
            Assert.All(svg.Descendants().Attributes().Where(static a => a.Name.LocalName is "y" or "cy" or "y1" or "y2"), a => Assert.InRange(double.Parse(a.Value), 0, frame[3]));
            Assert.All(svg.Descendants("rect"), rect => Assert.InRange(double.Parse(rect.Attribute("x")!.Value) + double.Parse(rect.Attribute("width")!.Value), 0, frame[2] + 0.2));
        }
    }

    [Fact]
    public void Every_class_of_a_chart_is_in_the_style_sheet()
    {
        var css = Page.Read("report.css");
        var classes = Charts(CompareReport.Build(Kept())).SelectMany(static svg => svg.Descendants().Attributes("class")).SelectMany(static a => a.Value.Split(' ')).Distinct();
        Assert.All(classes, name => Assert.Matches($@"\.{Regex.Escape(name)}\b", css));
    }

    [Fact]
    public void The_ring_is_compared_with_the_trap_path_only_if_their_inputs_are_equal()
    {
        var kept = Kept();
        var pairs = CompareAnswers.Pairs(kept).ToArray();
        Assert.NotEmpty(pairs);
        Assert.All(pairs, static pair => Assert.Equal(pair.Ring.Inputs, pair.Trap.Inputs));
        var other = kept with
        {
            Rows = [.. kept.Rows.Select(static row => row with
            {
                Measurements = [.. row.Measurements.Select(static one => one.Subject == "trap" ? one with { Inputs = one.Inputs with { Seconds = 99 } } : one)],
            })],
        };
        Assert.Empty(CompareAnswers.Pairs(other));
        Assert.Contains("Not measured in this run.", CompareAnswers.Build(other), StringComparison.Ordinal);
    }

    [Fact]
    public void Contestants_of_one_chart_have_different_styles()
    {
        string[][] charts =
        [
            ["VM-H memory, packed", "VM-H memory, split", "qsd null-co", "qsd null-co, iothread", "polled call, memory", "some stranger"],
            ["VM-H file", "qsd io_uring", "qsd io_uring, iothread", "qsd threads", "pread in process", "polled call, file"],
            ["VM-H memory", "VM-H file", "qsd null-co", "trap", "polled call, memory", "polled call, file"],
            ["ring", "shunted", "alternate", "trap", "direct"],
        ];
        var looks = new Looks(charts);
        foreach (var chart in charts) Assert.Equal(chart.Length, chart.Select(looks.Of).Distinct().Count());
        Assert.Equal("trap", looks.Of("trap").Style);
        Assert.Equal("ring", looks.Of("ring").Style);
        // One that is in no chart has the style of its group.
        Assert.StartsWith("qsd", looks.Of("qsd of tomorrow").Style, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a", 50)]
    [InlineData("ring round trip, two processes, depth 1, packed ring", 100)]
    [InlineData("MMMMMMMMMMMMMMMMMM", 60)]
    [InlineData("lllllllllllllllllllllll", 60)]
    [InlineData("abc", 3)]
    public void A_shortened_text_fits(string text, double room)
    {
        var shortened = Svg.Shorten(text, room);
        Assert.True(Svg.WidthOf(shortened) <= room, $"{shortened} is {Svg.WidthOf(shortened)} wide");
        if (Svg.WidthOf(text) <= room) Assert.Equal(text, shortened);
    }

    [Theory]
    [InlineData(2, 100, "good")]
    [InlineData(0.5, 60, "bad")]
    [InlineData(1, 84, "good")]
    [InlineData(1e9, 160, "good")]
    [InlineData(1e-9, 8, "bad")]
    public void A_bar_stops_at_its_figure(double median, double at, string style)
    {
        var svg = XElement.Parse(TargetBar.Draw("x", new TargetMark(median, median, median)));
        var bar = svg.Elements("line").Single(line => line.Attribute("class")!.Value == $"stroke {style}");
        Assert.Equal(84, double.Parse(bar.Attribute("x1")!.Value));
        var end = double.Parse(bar.Attribute("x2")!.Value);
        if (median is > 0.25 and < 4) Assert.Equal(median > 1, end > 84);
        else Assert.Equal(at, end);
    }

    [Fact]
    public void The_parts_of_a_traced_request_add_up_to_the_whole()
    {
        TraceHop[] hops = [new("Entered", 0), new("PortDriverEn", 1), new("Described", 2), new("Issued", 3), new("Noticed", 9), new("Completed", 10)];
        var parts = TraceParts.Of("ring", new TraceAnswer("read", 0, "enlightened", "enlightened", "Diverted", "Ok", null, 10, 0, hops, ""));
        Assert.Equal((10, 10), (parts.Microseconds, parts.Hops.Sum(static hop => hop.Microseconds)));
        Assert.Equal([2, 1, 6, 1], parts.Hops.Select(static hop => hop.Microseconds));
        Assert.Equal(parts.Hops.Count, parts.Hops.Select(static hop => hop.Name).Distinct().Count());
        var html = HopFigures.Draw([parts with { Path = "trap", Microseconds = 100 }, parts]);
        Assert.Contains("same scale", html, StringComparison.Ordinal);
        Assert.Equal(2, Charts(html).Count);
    }

    [Fact]
    public void No_table_mixes_figures_for_which_higher_and_lower_is_better()
    {
        var groups = VerdictGroup.Of(Kept()).ToArray();
        Assert.All(groups, static group => Assert.Single(group.Verdicts.Select(static one => one.Verdict.Direction).Distinct()));
        Assert.Equal(Kept().Rows.Sum(static row => row.Verdicts.Count), groups.Sum(static group => group.Verdicts.Count));
        foreach (var text in new[] { CompareReport.Build(Kept()), MarkdownTable.Build(Kept()) })
        {
            Assert.Contains(VerdictGroup.Higher, text, StringComparison.Ordinal);
            Assert.Contains(VerdictGroup.Lower, text, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_figure_without_a_target_has_the_direction_that_its_row_recorded()
    {
        var verdict = new Verdict("a", "work", "theirs", null, new Spread(1, 1, 1), []);
        Assert.Null(verdict.Direction);
        Assert.Equal(Better.Lower, (verdict with { Better = Better.Lower }).Direction);
        Assert.Equal(Better.Higher, (verdict with { Target = Target.AtLeast(1) }).Direction);
    }
}
