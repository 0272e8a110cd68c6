using System.Text.RegularExpressions;
using System.Xml.Linq;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Output;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Report;
using VmShunt.Perf.Report.Charts;
using VmShunt.Tests.Architecture;

namespace VmShunt.Tests.Perf;

public class CompareReportTests
{
    private static CompareResult Kept() =>
        CompareResult.Read(Directory.GetFiles(Path.Combine(Sources.Root, "perf", "results"), "compare.json", SearchOption.AllDirectories).Order(StringComparer.Ordinal).Last());

    private static IReadOnlyList<XElement> Pictures(string html) =>
        [.. Regex.Matches(html, "<svg.*?</svg>", RegexOptions.Singleline).Select(static picture => XElement.Parse(picture.Value))];

    [Fact]
    public void The_report_needs_nothing_from_elsewhere_and_leaves_no_gap()
    {
        var html = CompareReport.Build(Kept());
        Assert.DoesNotContain("{{", html, StringComparison.Ordinal);
        Assert.DoesNotMatch("(?i)(src|href)\\s*=|url\\(|<script|@import", html);
    }

    [Fact]
    public void Answers_come_before_everything_else()
    {
        var html = CompareReport.Build(Kept());
        string[] order = ["The ring against the trap", "Against peers", "class=\"strip\"", "Where the microseconds go", "Requests a second over depth", "Latency of each path", "CPU time a request", "Every ratio", "This run"];
        int[] at = [.. order.Select(text => html.IndexOf(text, StringComparison.Ordinal))];
        Assert.All(at, static position => Assert.True(position > 0));
        Assert.Equal(at.Order(), at);
    }

    [Fact]
    public void Every_picture_is_inside_its_frame_and_says_what_it_shows()
    {
        var pictures = Pictures(CompareReport.Build(Kept()));
        Assert.NotEmpty(pictures);
        foreach (var svg in pictures)
        {
            Assert.NotEmpty(svg.Attribute("aria-label")!.Value);
            double[] frame = [.. svg.Attribute("viewBox")!.Value.Split(' ').Select(double.Parse)];
            Assert.All(svg.Descendants().Attributes().Where(static a => a.Name.LocalName is "x" or "cx" or "x1" or "x2"), a => Assert.InRange(double.Parse(a.Value), 0, frame[2]));
            Assert.All(svg.Descendants().Attributes().Where(static a => a.Name.LocalName is "y" or "cy" or "y1" or "y2"), a => Assert.InRange(double.Parse(a.Value), 0, frame[3]));
            Assert.All(svg.Descendants("rect"), rect => Assert.InRange(double.Parse(rect.Attribute("x")!.Value) + double.Parse(rect.Attribute("width")!.Value), 0, frame[2] + 0.2));
        }
    }

    [Fact]
    public void Every_class_of_a_picture_is_in_the_style_sheet()
    {
        var css = Page.Read("report.css");
        var classes = Pictures(CompareReport.Build(Kept())).SelectMany(static svg => svg.Descendants().Attributes("class")).SelectMany(static a => a.Value.Split(' ')).Distinct();
        Assert.All(classes, name => Assert.Matches($@"\.{Regex.Escape(name)}\b", css));
    }

    [Fact]
    public void The_ring_is_held_against_the_trap_with_the_same_inputs_only()
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
    public void A_contestant_has_one_look_and_no_other_that_it_meets_has_the_same()
    {
        string[][] pictures =
        [
            ["VM-H memory, packed", "VM-H memory, split", "qsd null-co", "qsd null-co, iothread", "polled call, memory", "some stranger"],
            ["VM-H file", "qsd io_uring", "qsd io_uring, iothread", "qsd threads", "pread in process", "polled call, file"],
            ["VM-H memory", "VM-H file", "qsd null-co", "trap", "polled call, memory", "polled call, file"],
            ["ring", "shunted", "alternate", "trap", "direct"],
        ];
        var looks = new Looks(pictures);
        foreach (var picture in pictures) Assert.Equal(picture.Length, picture.Select(looks.Of).Distinct().Count());
        Assert.Equal("trap", looks.Of("trap").Style);
        Assert.Equal("ring", looks.Of("ring").Style);
        // One that is in no picture looks like its kind.
        Assert.StartsWith("qsd", looks.Of("qsd of tomorrow").Style, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a", 50)]
    [InlineData("ring round trip, two processes, depth 1, packed ring", 100)]
    [InlineData("MMMMMMMMMMMMMMMMMM", 60)]
    [InlineData("lllllllllllllllllllllll", 60)]
    [InlineData("abc", 3)]
    public void A_text_that_is_shortened_fits(string text, double room)
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
    public void A_bar_stops_where_the_figure_is(double median, double at, string style)
    {
        var svg = XElement.Parse(TargetBar.Draw("x", new TargetMark(median, median, median)));
        var bar = svg.Elements("line").Single(line => line.Attribute("class")!.Value == $"stroke {style}");
        Assert.Equal(84, double.Parse(bar.Attribute("x1")!.Value));
        var end = double.Parse(bar.Attribute("x2")!.Value);
        if (median is > 0.25 and < 4) Assert.Equal(median > 1, end > 84);
        else Assert.Equal(at, end);
    }

    [Fact]
    public void The_parts_of_a_followed_request_add_up_to_all_of_it()
    {
        var trace = new TraceAnswer(10, [new("Entered", 0), new("PortDriverEn", 1), new("Described", 2), new("Issued", 3), new("Noticed", 9), new("Completed", 10)]);
        var parts = RequestFollower.PartsOf("ring", trace);
        Assert.Equal((10, 10), (parts.Microseconds, parts.Hops.Sum(static hop => hop.Microseconds)));
        Assert.Equal([2, 1, 6, 1], parts.Hops.Select(static hop => hop.Microseconds));
        Assert.Equal(parts.Hops.Count, parts.Hops.Select(static hop => hop.Name).Distinct().Count());
        var html = HopFigures.Draw([parts with { Road = "trap", Microseconds = 100 }, parts]);
        Assert.Contains("same scale", html, StringComparison.Ordinal);
        Assert.Equal(2, Pictures(html).Count);
    }
}
