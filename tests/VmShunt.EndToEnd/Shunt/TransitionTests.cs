using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Shunt;

public sealed class TransitionTests(OwnDisk own, ITestOutputHelper output) : IClassFixture<OwnDisk>, IDisposable
{
    // Some requests are between two drivers at any moment; with so many at least 64 are in flight.
    private const int LoadDepth = 96, Rounds = 10;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Switching_between_all_modes_under_load_again_and_again_harms_no_request()
    {
        var disk = own.CopyTo(_folder);
        await using var machine = await RunningMachine.BootAsync(disk);
        var data = await machine.DataAsync();
        await machine.AskAsync($"load start --depth {LoadDepth} --write --first-sector {data.First} --sectors {data.Count}");
        await machine.LoadGoesOnAsync();
        for (var round = 0; round < Rounds; round++)
        {
            foreach (var mode in new[] { "enlightened", "emulating", "alternate" })
            {
                var answer = await machine.ModeAsync(mode);
                Assert.Equal(mode, answer.Mode);
                Assert.InRange(answer.InFlight, 64, int.MaxValue);
                await machine.LoadGoesOnAsync(100);
            }
        }
        var load = await machine.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer);

        output.WriteLine(load.ToString());
        Assert.Equal((0, 0, 0, 0), (load.Failed, load.Lost, load.Repeated, load.Mismatched));
        Assert.Equal(load.Requests, load.Completed);
        Assert.InRange(load.Completed, Rounds * 3 * 100, long.MaxValue);

        // The file holds what the guest wrote, whichever path a write took.
        await machine.ModeAsync("enlightened");
        var ring = await machine.AskAsync("hash --stack enlightened", GuestAnswersJson.Default.HashAnswer);
        Assert.Equal(await Perf.Disks.FileHash.OfAsync(disk, default), ring.Sha256);
    }
}
