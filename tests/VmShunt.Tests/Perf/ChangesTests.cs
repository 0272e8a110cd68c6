using Spectre.Console;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Output;
using VmShunt.Perf.Launch.Model;

namespace VmShunt.Tests.Perf;

public sealed class ChangesTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vmshunt-test-");
    private readonly StringWriter _output = new(), _errors = new();

    public void Dispose() => _folder.Delete(recursive: true);

    private static CompareResult Result(params RowResult[] rows) => new(
        new DateTime(2026, 1, 2, 3, 4, 5, DateTimeKind.Utc), "compare", "abc", 1, new MachineResult("cpu", 2, "6.1", ".NET 10"), new Dictionary<string, string>(), rows);

    private static RowResult Row(string id, double iops, double ratio, Target? target, double foreign = 0, double seconds = 0.5, string against = "theirs")
    {
        var inputs = new Inputs
        {
            Operation = "randread",
            BlockBytes = 4096,
            Depth = 1,
            Medium = "memory",
            Content = "noise",
            DiskBytes = 1 << 20,
            RangeBytes = 1 << 20,
            Generator = "ours",
            Seconds = seconds,
        };
        return new RowResult(
            id, $"title of {id}", [new Yardstick("line", null, [100, 101, 102])],
            [new Measurement("ours", inputs, [.. new[] { 0.99, 1, 1.01 }.Select(noise => new Sample(iops * noise, 1, 2, 3, 1, 1, 0) { ForeignCpu = foreign })])],
            [new Verdict($"{id}.x", $"work of {id}", against, target, new Spread(ratio, ratio * 0.99, ratio * 1.01), [])])
        {
            ForeignCpu = foreign,
        };
    }

    private int Show(CompareResult old, CompareResult now, bool all = false)
    {
        string Write(string name, CompareResult result)
        {
            var path = Path.Combine(_folder.FullName, name);
            File.WriteAllText(path, result.ToJson());
            return path;
        }
        return ChangesTable.Show(Write("old.json", old), Write("new.json", now), all, Plain(_output), Plain(_errors));
    }

    private static IAnsiConsole Plain(TextWriter writer)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(writer) });
        console.Profile.Width = 250;
        return console;
    }

    [Theory]
    [InlineData("≥", 2, 3, "better")]
    [InlineData("≥", 3, 2, "worse")]
    [InlineData("≤", 2, 3, "worse")]
    [InlineData("≤", 3, 2, "better")]
    [InlineData(null, 3, 2, "changed")]
    [InlineData("≥", 2, 2.001, "unchanged")]
    public void A_change_is_better_or_worse_in_the_direction_of_its_target(string? bound, double then, double now, string word)
    {
        var target = bound is null ? null : bound == "≥" ? Target.AtLeast(1) : Target.AtMost(1);
        var change = Changes.Between(Result(Row("a", 1000, then, target)), Result(Row("a", 1000, now, target))).All.Single(static one => one.Unit == "×");
        Assert.Equal(word, change.Word);
    }

    [Fact]
    public void A_shorter_time_per_request_is_better_without_a_target() =>
        Assert.Equal("better", Changes.Between(Result(Row("a", 1000, 1, null)), Result(Row("a", 2000, 1, null))).All.Single(static one => one.Unit == "line").Word);

    [Fact]
    public void Changed_figures_are_listed_and_unchanged_ones_are_counted()
    {
        Assert.Equal(0, Show(Result(Row("a", 1000, 2, Target.AtLeast(1)), Row("b", 1000, 2, null)), Result(Row("a", 1000, 3, Target.AtLeast(1)), Row("b", 1000, 2, null))));
        Assert.Contains("work of a vs theirs", _output.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("work of b", _output.ToString(), StringComparison.Ordinal);
        Assert.Contains("1 of 4 figures changed: 1 better, 0 worse; the quartiles of 3 overlap (--all lists them).", _output.ToString(), StringComparison.Ordinal);

        Assert.Equal(0, Show(Result(Row("b", 1000, 2, null)), Result(Row("b", 1000, 2, null)), all: true));
        Assert.Contains("work of b vs theirs", _output.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Rows_of_one_result_only_are_named_and_two_results_without_a_common_row_are_an_error()
    {
        Assert.Equal(0, Show(Result(Row("a", 1, 1, null), Row("old", 1, 1, null)), Result(Row("a", 1, 1, null), Row("new", 1, 1, null))));
        Assert.Contains("Only in the old result: old.", _output.ToString(), StringComparison.Ordinal);
        Assert.Contains("Only in the new result: new.", _output.ToString(), StringComparison.Ordinal);
        Assert.Equal(1, Show(Result(Row("old", 1, 1, null)), Result(Row("new", 1, 1, null))));
        Assert.Contains("nothing in common", _errors.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Results_with_different_inputs_are_not_compared_and_the_exit_code_is_1()
    {
        Assert.Equal(1, Show(Result(Row("a", 1, 1, null)), Result(Row("a", 1, 3, null, seconds: 1))));
        Assert.Contains("title of a: not compared, the inputs differ: Seconds: 0.5 and 1 (ours)", _errors.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("work of a", _output.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_figure_that_was_0_has_no_factor() =>
        Assert.Null(Changes.Between(Result(Row("a", 1, 0, Target.AtMost(0, "B"))), Result(Row("a", 1, 0, Target.AtMost(0, "B")))).All.Single(static one => one.Unit == "B").Factor);

    [Fact]
    public void A_change_of_the_best_peer_is_reported() =>
        Assert.Contains(
            Changes.Between(Result(Row("a", 1, 1, null, against: "this")), Result(Row("a", 1, 1, null, against: "that"))).All, static change => change.What == "work of a vs that (old run: this)");

    [Fact]
    public void A_disturbed_row_has_the_same_warning_in_every_output()
    {
        var result = Result(Row("a", 1000, 2, Target.AtLeast(1), foreign: 0.34), Row("b", 1000, 2, null));
        const string sentence = "1 of 2 rows was disturbed by the CPU time of other processes; do not quote figures marked (disturbed). Disturbed: title of a (up to 34 % of a core).";
        VerdictTable.Write(Plain(_output), result);
        Assert.Equal(0, Show(result, result with { Rows = [Row("a", 1000, 3, Target.AtLeast(1)), Row("b", 1000, 2, null)] }));
        string markdown = MarkdownTable.Build(result), html = CompareReport.Build(result);
        foreach (var text in new[] { _output.ToString(), markdown, html })
        {
            Assert.Contains(sentence, text, StringComparison.Ordinal);
            Assert.Contains("(disturbed)", text.Replace(sentence, "", StringComparison.Ordinal), StringComparison.Ordinal);
        }
        var calm = Result(Row("a", 1000, 2, Target.AtLeast(1)));
        Assert.All(new[] { MarkdownTable.Build(calm), CompareReport.Build(calm) }, static text => Assert.DoesNotContain("(disturbed)", text, StringComparison.Ordinal));
        Assert.Contains("No row was disturbed.", MarkdownTable.Build(calm), StringComparison.Ordinal);
    }

    [Fact]
    public void A_result_records_whether_any_of_its_rows_was_disturbed()
    {
        Assert.True(Result(Row("a", 1, 1, null, foreign: 0.34), Row("b", 1, 1, null)).Disturbed);
        Assert.False(Result(Row("a", 1, 1, null, foreign: 0.1)).Disturbed);
        Assert.Contains("\"disturbed\": true", Result(Row("a", 1, 1, null, foreign: 0.34)).ToJson(), StringComparison.Ordinal);
    }
}
