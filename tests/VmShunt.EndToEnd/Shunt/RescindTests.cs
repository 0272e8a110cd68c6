using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Shunt;

public sealed class RescindTests(SharedMachine shared, ITestOutputHelper output) : IClassFixture<SharedMachine>
{
    private const int LoadDepth = 256;

    private static readonly int s_rounds = LongForm.Choose(6, 100);

    [Theory]
    [InlineData("hypervisor", "emulating", "enlightened")]
    [InlineData("hypervisor", "emulating", "alternate")]
    [InlineData("host", "emulating", "enlightened")]
    [InlineData("host", "enlightened", "enlightened")]
    [InlineData("hypervisor", "enlightened", "enlightened")]
    public Task The_bus_is_rescinded_and_offered_again_under_load_and_no_request_is_lost_repeated_or_failed(string who, string stack, string mode) => shared.UseAsync(async machine =>
    {
        var owner = who == "host" ? machine.Host : machine.Hypervisor;
        var data = await machine.DataAsync();
        await machine.ModeAsync(mode);
        await machine.AskAsync($"load start --stack {stack} --depth {LoadDepth} --write --first-sector {data.First} --sectors {data.Count}");
        var (trapped, ringed) = (0, 0);
        var reconnects = await ReconnectsAsync(machine);
        for (var round = 0; round < s_rounds; round++)
        {
            ProcessTable.Send(owner.Id, ProcessTable.SIGUSR1);
            await ModeIsAsync(machine, "emulating");
            var before = await machine.CompletedAsync();
            await machine.LoadGoesOnAsync(100);
            await machine.AskAsync("flush --stack emulating");
            if ((await machine.CompletedAsync()).Trap > before.Trap) trapped++;

            ProcessTable.Send(owner.Id, ProcessTable.SIGUSR2);
            await ModeIsAsync(machine, mode);
            before = await machine.CompletedAsync();
            await machine.LoadGoesOnAsync(100);
            await machine.AskAsync("flush --stack emulating");
            if ((await machine.CompletedAsync()).Ring > before.Ring) ringed++;
        }
        Assert.Equal((s_rounds, s_rounds), (trapped, ringed));
        Assert.Equal(reconnects + s_rounds, await ReconnectsAsync(machine));
        var load = await machine.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer);
        output.WriteLine(load.ToString());
        LongForm.Keep(nameof(RescindTests), $"{who} rescinds {s_rounds} times, {stack} stack, {mode} mode: {load.Requests} verified requests, none lost, repeated or failed");
        Assert.Equal((0, 0, 0, 0), (load.Failed, load.Lost, load.Repeated, load.Mismatched));
        Assert.Equal(load.Requests, load.Completed);

        var ring = await machine.AskAsync($"hash --stack {stack}", GuestAnswersJson.Default.HashAnswer);
        Assert.Equal(await Perf.Disks.FileHash.OfAsync(shared.Disk, default), ring.Sha256);
    });

    [Fact]
    public Task A_guest_that_was_set_to_the_trap_path_stays_on_it_when_the_bus_is_offered_again() => shared.UseAsync(async machine =>
    {
        await machine.ModeAsync("enlightened");
        ProcessTable.Send(machine.Hypervisor.Id, ProcessTable.SIGUSR1);
        await ModeIsAsync(machine, "emulating");
        Assert.Contains("the hypervisor offers no bus for this disk", await machine.RefusalAsync("mode enlightened"), StringComparison.Ordinal);
        await machine.ModeAsync("emulating");
        ProcessTable.Send(machine.Hypervisor.Id, ProcessTable.SIGUSR2);
        await Until.TrueAsync(async () => (await machine.AskAsync("info")).GetProperty("bus").GetBoolean(), "the bus is offered again");
        Assert.Equal("emulating", (await machine.InfoAsync()).Mode);
        Assert.Equal("enlightened", (await machine.ModeAsync("enlightened")).Mode);
    });

    private static async Task<int> ReconnectsAsync(RunningMachine machine) =>
        (await machine.AskAsync("info")).GetProperty("requests").GetProperty("reconnects").GetInt32();

    private static Task ModeIsAsync(RunningMachine machine, string mode) =>
        Until.TrueAsync(async () => (await machine.InfoAsync()).Mode == mode, $"the guest is in {mode} mode");
}
