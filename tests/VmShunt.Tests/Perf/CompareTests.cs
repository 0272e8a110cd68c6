using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Rows;
using VmShunt.Tests.Architecture;

namespace VmShunt.Tests.Perf;

public class CompareTests
{
    private static readonly Inputs s_inputs = new()
    {
        Operation = "randread",
        BlockBytes = 4096,
        Depth = 1,
        Medium = "memory",
        Content = "noise",
        DiskBytes = 1 << 20,
        RangeBytes = 1 << 20,
        Generator = "ours",
        Seconds = 0.5,
    };

    [Fact]
    public void Measurements_with_equal_inputs_are_compared_round_by_round()
    {
        var ratio = Ratio.Of(Measured("ours", s_inputs, 200, 300, 400), Measured("theirs", s_inputs, 100, 100, 100), static sample => sample.Iops);
        Assert.Equal((3.0, 2.5, 3.5), (ratio.Median, ratio.Lower, ratio.Upper));
    }

    [Theory]
    [InlineData(nameof(Inputs.Depth))]
    [InlineData(nameof(Inputs.BlockBytes))]
    [InlineData(nameof(Inputs.Medium))]
    [InlineData(nameof(Inputs.Operation))]
    [InlineData(nameof(Inputs.Seconds))]
    [InlineData(nameof(Inputs.Guests))]
    public void Measurements_with_different_inputs_are_not_compared(string differs)
    {
        var theirs = Measured(
            "theirs",
            differs switch
            {
                nameof(Inputs.Depth) => s_inputs with { Depth = 32 },
                nameof(Inputs.BlockBytes) => s_inputs with { BlockBytes = 512 },
                nameof(Inputs.Medium) => s_inputs with { Medium = "page cache" },
                nameof(Inputs.Operation) => s_inputs with { Operation = "randwrite" },
                nameof(Inputs.Seconds) => s_inputs with { Seconds = 1 },
                _ => s_inputs with { Guests = 2 },
            },
            100,
            100);
        var refused = Assert.Throws<InputsDifferException>(() => Ratio.Of(Measured("ours", s_inputs, 200, 300), theirs, static sample => sample.Iops));
        Assert.Contains(differs, refused.Message, StringComparison.Ordinal);
        // Unless a reason is given, which the report prints.
        _ = Ratio.Of(Measured("ours", s_inputs, 200, 300), theirs, static sample => sample.Iops, new Allowance(differs, "said so"));
    }

    [Fact]
    public void Measurements_with_different_numbers_of_rounds_are_not_compared() =>
        Assert.Throws<InputsDifferException>(() => Ratio.Of(Measured("ours", s_inputs, 1, 2, 3), Measured("theirs", s_inputs, 1, 2), static sample => sample.Iops));

    [Fact]
    public void A_kept_result_is_readable_and_unchanged_vs_itself()
    {
        var kept = CompareResult.Read(Kept());
        Assert.Equal(TableRows.All.Select(static row => row.Id), kept.Rows.Select(static row => row.Id));
        var (changes, refusals, onlyOld, onlyNew) = Changes.Between(kept, CompareResult.Read(Kept()));
        Assert.Empty(refusals);
        Assert.Empty(onlyOld.Concat(onlyNew));
        Assert.NotEmpty(changes);
        Assert.All(changes, static change => Assert.Equal(change.Old, change.New));
        Assert.All(changes, static change => Assert.Equal("unchanged", change.Word));
        // Each figure is identified by its description.
        Assert.Equal(changes.Count, changes.Select(static change => (change.What, change.Unit, change.Old)).Distinct().Count());
    }

    [Fact]
    public void Two_results_with_different_inputs_are_not_compared()
    {
        var kept = CompareResult.Read(Kept());
        var other = kept with
        {
            Rows = [.. kept.Rows.Select(static row => row with
            {
                Measurements = [.. row.Measurements.Select(static one => one with { Inputs = one.Inputs with { Seconds = one.Inputs.Seconds * 2 } })],
            })],
        };
        var (_, refusals, _, _) = Changes.Between(kept, other);
        Assert.Contains(refusals, static refusal => refusal.Contains("the inputs differ: Seconds", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(1, "1 core:", true)]
    [InlineData(2, "2 cores:", true)]
    [InlineData(3, "3 cores:", true)]
    [InlineData(4, "4 cores,", false)]
    [InlineData(64, "64 cores,", false)]
    public void The_limit_of_two_queues_depends_on_the_cores_of_the_machine(int cores, string names, bool coresBound)
    {
        var note = QueuesRow.Bound(cores);
        Assert.Contains(names, note, StringComparison.Ordinal);
        Assert.Equal(coresBound, !note.Contains("the cores are not the limit", StringComparison.Ordinal));
    }

    private static string Kept() => Directory.GetFiles(Path.Combine(Sources.Root, "perf", "results"), "compare.json", SearchOption.AllDirectories).Order(StringComparer.Ordinal).Last();

    private static Measurement Measured(string subject, Inputs inputs, params double[] iops) =>
        new(subject, inputs, [.. iops.Select(static rate => new Sample(rate, null, null, null, 0, 0, 0))]);
}
