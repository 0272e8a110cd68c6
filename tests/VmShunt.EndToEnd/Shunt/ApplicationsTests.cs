using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Measure;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Shunt;

public sealed class ApplicationsTests(SharedMachine shared, ITestOutputHelper output) : IClassFixture<SharedMachine>
{
    private const int RaceBlocks = 16, Rounds = 40, Depth = 64;

    [Theory]
    [InlineData("told", "below-class")]
    [InlineData("tries", "above-class")]
    [InlineData("commanded", "below-port")]
    public Task Applications_run_at_once_on_one_guest_each_with_its_own_requests_in_any_mix_of_paths(string source, string position) => shared.UseAsync(async machine =>
    {
        var data = await machine.DataAsync();
        var half = data.Count / 2;
        // Reads and writes are diverted, flushes are not: the emulating stack uses both paths.
        await machine.AskAsync($"shunt --mode-source {source} --shunt-position {position} --shunt-policy importance");
        await machine.ModeAsync("enlightened");
        var before = await machine.CompletedAsync();

        // One verifies its writes through the emulating stack, while one writes through both stacks and one reads through the other.
        await machine.AskAsync($"load start --stack emulating --depth {Depth} --write --first-sector {data.First} --sectors {half}");
        var race = await machine.AskAsync($"race --first-sector {data.First + half} --blocks {RaceBlocks} --rounds {Rounds}");
        await machine.AskAsync("flush --stack emulating");
        Assert.Equal(2000, (await machine.BenchAsync("enlightened", "randread", 16, new SectorRange(data.First, data.Count))).Requests);
        await machine.LoadGoesOnAsync();
        var load = await machine.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer);
        output.WriteLine($"{load} {race}");

        Assert.Equal((0, 0, 0, 0), (load.Failed, load.Lost, load.Repeated, load.Mismatched));
        Assert.Equal(load.Requests, load.Completed);
        foreach (var fault in (string[])["torn", "foreign", "disagreed", "overtaken"]) Assert.Equal(0, race.GetProperty(fault).GetInt64());
        var after = await machine.CompletedAsync();
        Assert.True(after.Trap > before.Trap && after.Ring > before.Ring + load.Completed / 2, $"{before} before, {after} after");
    });
}
