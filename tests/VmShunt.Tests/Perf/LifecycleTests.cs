using VmShunt.Perf.Lifecycle;
using VmShunt.Perf.Lifecycle.Guests;
using VmShunt.Perf.Lifecycle.Rigs;
using VmShunt.Tests.Architecture;

namespace VmShunt.Tests.Perf;

/// <summary>The results and tables of <c>lifecycle</c>, and the check of what a guest's load left.</summary>
public sealed class LifecycleTests : IDisposable
{
    private readonly string _file = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());

    public void Dispose() => File.Delete(_file);

    [Fact]
    public void The_page_shows_the_results()
    {
        var page = File.ReadAllText(Path.Combine(Sources.Root, "docs", "lifecycle.md"));
        Assert.True(LifecycleTable.Write(page, LifecycleResults.Read(LifecycleResults.File)) == page, "docs/lifecycle.md: run 'perf lifecycle --table'");
    }

    [Fact]
    public void The_last_result_of_a_cell_counts_and_has_its_mark()
    {
        var cell = LifecycleCell.Of("own", "INFLIGHT", LifecycleEvent.All[0]).Last();
        LifecycleResults.Append(_file, new(cell, "", "2026-11-30", LifecycleVerdict.Lost, "why,\nand where"));
        LifecycleResults.Append(_file, new(cell with { Event = "SIGTERM" }, "", "2026-11-30", LifecycleVerdict.Passed, ""));
        Assert.Equal((LifecycleVerdict.Lost, "why, and where"), LifecycleResults.Read(_file)[cell] is var first ? (first.Verdict, first.Detail) : default);
        LifecycleResults.Append(_file, new(cell, "", "2026-12-01", LifecycleVerdict.CannotBeSaved, ""));

        var results = LifecycleResults.Read(_file);
        Assert.Equal(2, results.Count);
        var row = LifecycleTable.Write("<!-- lifecycle: written by the command -->\n<!-- lifecycle: end -->\n", results).Split('\n')
            .SkipWhile(static line => !line.StartsWith("### our driver", StringComparison.Ordinal)).First(line => line.StartsWith($"| {cell.Event} |", StringComparison.Ordinal));
        var column = LifecycleCell.WithheldFeatures.ToList().FindIndex(static withheld => withheld.Name == "INFLIGHT") * Rig.Disks.Count + Rig.Disks.Count;
        Assert.Equal([LifecycleTable.Mark(LifecycleVerdict.CannotBeSaved)], row.Trim('|', ' ').Split(" | ").Select(static (mark, i) => (mark, i)).Where(static of => of.i > 0 && of.mark.Trim().Length > 0).Select(static of => of.mark.Trim()));
        Assert.Equal(column, row.Split('|')[1..^1].ToList().FindIndex(static mark => mark.Trim() == "log"));
    }

    [Fact]
    public void Each_cell_has_a_name_of_its_own_and_no_comma_in_it()
    {
        var names = LifecycleCell.All().Select(static cell => cell.ToString()).ToList();
        Assert.Equal(names.Count, names.Distinct().Count());
        Assert.DoesNotContain(names, static name => name.Contains(','));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(16)]
    [InlineData(45)]
    public void An_image_tells_how_many_rounds_wrote_it(int rounds)
    {
        Write(After(rounds));
        Assert.Equal(rounds, LoadImage.FindRound(_file, rounds, rounds));
        // The last round may also be one that was written in full and not seen to complete.
        Assert.Equal(Math.Max(rounds - 1, 0), LoadImage.FindRound(_file, Math.Max(rounds - 2, 0), rounds + 20));
        Assert.Null(LoadImage.FindRound(_file, rounds + 1, rounds + 20));
    }

    [Fact]
    public void The_round_in_flight_may_be_written_in_part()
    {
        var image = After(20);
        After(21).AsSpan(4 * LoadImage.RoundBytes + 8192, 4096).CopyTo(image.AsSpan(4 * LoadImage.RoundBytes + 8192));
        Write(image);
        Assert.Equal(20, LoadImage.FindRound(_file, 20, 30));
    }

    [Theory]
    [InlineData(19)]
    [InlineData(12)]
    public void A_write_that_was_lost_or_repeated_late_shows(int round)
    {
        var image = After(20);
        After(round - 15).AsSpan(round % 16 * LoadImage.RoundBytes + 4096, 4096).CopyTo(image.AsSpan(round % 16 * LoadImage.RoundBytes + 4096));
        Write(image);
        Assert.Null(LoadImage.FindRound(_file, 20, 30));
    }

    private void Write(byte[] image) => File.WriteAllBytes(_file, image);

    private static byte[] After(int rounds)
    {
        var image = new byte[LoadImage.Places * LoadImage.RoundBytes];
        for (var i = 0; i < rounds; i++)
            LoadImage.Seed.AsSpan(i % LoadImage.Shifts * LoadImage.BlockBytes, LoadImage.RoundBytes).CopyTo(image.AsSpan(i % LoadImage.Places * LoadImage.RoundBytes));
        return image;
    }
}
