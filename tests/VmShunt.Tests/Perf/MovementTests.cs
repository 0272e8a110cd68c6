using Spectre.Console;
using VmShunt.Perf.Compare;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Output;
using VmShunt.Perf.Report;

namespace VmShunt.Tests.Perf;

public sealed class MovementTests : IDisposable
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
        return MovementTable.Show(Write("old.json", old), Write("new.json", now), all, Plain(_output), Plain(_errors));
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
    [InlineData(null, 3, 2, "moved")]
    [InlineData("≥", 2, 2.001, "within the spread")]
    public void A_move_is_called_better_or_worse_by_what_is_asked(string? asked, double then, double now, string word)
    {
        var target = asked is null ? null : asked == "≥" ? Target.AtLeast(1) : Target.AtMost(1);
        var move = Movement.Between(Result(Row("a", 1000, then, target)), Result(Row("a", 1000, now, target))).Moves.Single(static one => one.Unit == "×");
        Assert.Equal(word, move.Word);
    }

    [Fact]
    public void A_rate_that_rose_is_better_whatever_its_unit_is() =>
        Assert.Equal("better", Movement.Between(Result(Row("a", 1000, 1, null)), Result(Row("a", 2000, 1, null))).Moves.Single(static one => one.Unit == "line").Word);

    [Fact]
    public void What_moved_is_listed_and_what_did_not_is_counted()
    {
        Assert.Equal(0, Show(Result(Row("a", 1000, 2, Target.AtLeast(1)), Row("b", 1000, 2, null)), Result(Row("a", 1000, 3, Target.AtLeast(1)), Row("b", 1000, 2, null))));
        Assert.Contains("work of a against theirs", _output.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("work of b", _output.ToString(), StringComparison.Ordinal);
        Assert.Contains("1 of 4 figures moved: 1 better, 0 worse; the quartiles of 3 touch (--all lists them).", _output.ToString(), StringComparison.Ordinal);

        Assert.Equal(0, Show(Result(Row("b", 1000, 2, null)), Result(Row("b", 1000, 2, null)), all: true));
        Assert.Contains("work of b against theirs", _output.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_in_one_only_is_named_and_nothing_in_common_is_an_error()
    {
        Assert.Equal(0, Show(Result(Row("a", 1, 1, null), Row("old", 1, 1, null)), Result(Row("a", 1, 1, null), Row("new", 1, 1, null))));
        Assert.Contains("Only the old one has: old.", _output.ToString(), StringComparison.Ordinal);
        Assert.Contains("Only the new one has: new.", _output.ToString(), StringComparison.Ordinal);
        Assert.Equal(1, Show(Result(Row("old", 1, 1, null)), Result(Row("new", 1, 1, null))));
        Assert.Contains("nothing in common", _errors.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Inputs_that_differ_are_refused_by_name_and_fail()
    {
        Assert.Equal(1, Show(Result(Row("a", 1, 1, null)), Result(Row("a", 1, 3, null, seconds: 1))));
        Assert.Contains("title of a: not set side by side, the inputs differ: Seconds: 0.5 and 1 (ours)", _errors.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("work of a", _output.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_that_was_and_is_nothing_has_no_factor() =>
        Assert.Null(Movement.Between(Result(Row("a", 1, 0, Target.AtMost(0, "B"))), Result(Row("a", 1, 0, Target.AtMost(0, "B")))).Moves.Single(static one => one.Unit == "B").Factor);

    [Fact]
    public void Another_best_peer_than_then_is_said() =>
        Assert.Contains(
            Movement.Between(Result(Row("a", 1, 1, null, against: "this")), Result(Row("a", 1, 1, null, against: "that"))).Moves, static move => move.What == "work of a against that (then this)");

    [Fact]
    public void A_disturbed_row_is_called_so_alike_wherever_it_is_told()
    {
        var result = Result(Row("a", 1000, 2, Target.AtLeast(1), foreign: 0.34), Row("b", 1000, 2, null));
        const string sentence = "1 of 2 rows was disturbed: other processes took CPU time meanwhile, and figures marked (disturbed) should not be quoted. Disturbed: title of a (up to 34 % of a core).";
        VerdictTable.Write(Plain(_output), result);
        Assert.Equal(0, Show(result, result with { Rows = [Row("a", 1000, 3, Target.AtLeast(1)), Row("b", 1000, 2, null)] }));
        string markdown = MarkdownTable.Build(result), html = CompareReport.Build(result);
        foreach (var told in new[] { _output.ToString(), markdown, html })
        {
            Assert.Contains(sentence, told, StringComparison.Ordinal);
            Assert.Contains("(disturbed)", told.Replace(sentence, "", StringComparison.Ordinal), StringComparison.Ordinal);
        }
        var calm = Result(Row("a", 1000, 2, Target.AtLeast(1)));
        Assert.All(new[] { MarkdownTable.Build(calm), CompareReport.Build(calm) }, static told => Assert.DoesNotContain("(disturbed)", told, StringComparison.Ordinal));
        Assert.Contains("No row was disturbed.", MarkdownTable.Build(calm), StringComparison.Ordinal);
    }
}
