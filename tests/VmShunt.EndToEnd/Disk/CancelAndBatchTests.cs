using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Disk;

/// <summary>Cancelled requests and batches, on every path.</summary>
public sealed class CancelAndBatchTests(SharedMachine shared, ITestOutputHelper output) : IClassFixture<SharedMachine>, IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("emulating", "emulating")]
    [InlineData("enlightened", "emulating")]
    [InlineData("enlightened", "enlightened")]
    public Task A_batch_allocates_nothing_and_kicks_once_at_most(string mode, string stack) => shared.UseAsync(async machine =>
    {
        await machine.ModeAsync(mode);
        foreach (var batch in new[] { 1, 32, 128 })
        {
            var command = $"bench --stack {stack} --batch {batch} --requests {batch * 100}";
            // The first rounds are the warm-up.
            for (var i = 0; i < 3; i++) _ = await machine.AskAsync(command, GuestAnswersJson.Default.BenchAnswer);
            var answer = await machine.AskAsync(command, GuestAnswersJson.Default.BenchAnswer);
            output.WriteLine($"{mode}/{stack} batches of {batch}: {answer.AllocatedBytesPerRequest} bytes, {answer.KicksPerRequest} kicks per request, {answer.Iops:n0} requests per second");
            Assert.Equal(batch * 100, answer.Requests);
            Assert.Equal(0, answer.AllocatedBytesPerRequest);
            Assert.InRange(answer.KicksPerRequest, 0, 1.0 / batch);
        }
    });

    [Fact]
    public Task Cancelled_requests_have_no_effect_while_the_mode_changes() => shared.UseAsync(async machine =>
    {
        var data = await machine.DataAsync();
        await machine.ModeAsync("enlightened");
        await machine.AskAsync($"load start --stack emulating --depth 512 --write --cancel --first-sector {data.First} --sectors {data.Count}");
        for (var i = 0; i < 10; i++)
        {
            await machine.ModeAsync("emulating");
            await machine.ModeAsync("enlightened");
        }
        Check(await machine.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer));
    });

    [Fact]
    public async Task Cancelled_requests_have_no_effect_while_VM_H_is_killed()
    {
        string disk = _folder.RandomFile("disk.img", 8 << 20), socket = _folder["ring"];
        var host = await StartAsync();
        try
        {
            await using var guest = await Programs.StartReadyAsync("vmshunt-guest", "--memory", "32M", "--bus", socket, "console");
            var console = new GuestConsole(guest);
            await console.AskAsync("load start --depth 512 --write --cancel", Programs.AnyAnswer, Until.Patience, default);
            for (var kill = 0; kill < LongForm.Choose(4, 50); kill++)
            {
                await Task.Delay(100);
                ProcessTable.Send(host.Id, 9);
                await host.Ended;
                await host.DisposeAsync();
                host = await StartAsync();
            }
            Check(await console.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer, Until.Patience, default));
        }
        finally
        {
            await host.DisposeAsync();
        }

        Task<ChildProcess> StartAsync() => Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", socket);
    }

    private void Check(LoadAnswer load)
    {
        output.WriteLine($"{load.Requests} verified requests, {load.Cancelled} of them cancelled");
        Assert.Equal((0, 0, 0, 0), (load.Failed, load.Lost, load.Repeated, load.Mismatched));
        Assert.Equal(load.Requests, load.Completed);
        Assert.InRange(load.Cancelled, 1, load.Requests - 1);
    }
}
