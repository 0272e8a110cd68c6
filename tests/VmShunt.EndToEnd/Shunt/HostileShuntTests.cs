using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Shunt;

/// <summary>Section H of docs/hostile-inputs.md, as far as it needs the three processes.</summary>
public sealed class HostileShuntTests(SharedMachine shared, OwnDisk own, ITestOutputHelper output) : IClassFixture<SharedMachine>, IClassFixture<OwnDisk>, IDisposable
{
    // More than a ring and a command list can hold together.
    private const int LoadDepth = 256;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("emulating", "enlightened")]
    [InlineData("emulating", "alternate")]
    [InlineData("enlightened", "emulating")]
    [InlineData("enlightened", "alternate")]
    [InlineData("alternate", "enlightened")]
    public Task A_mode_change_while_VM_H_completes_nothing_waits_and_harms_no_request(string from, string to) => shared.UseAsync(async machine =>
    {
        await machine.ModeAsync(from);
        await StartLoadAsync(machine, "emulating");
        Stop(machine.Host);
        var changing = machine.ModeAsync(to);
        ProcessTable.Send(machine.Host.Id, ProcessTable.SIGCONT);
        var answer = await changing;
        Assert.Equal(to, answer.Mode);
        // The whole load, less the requests that are between two drivers at this moment.
        Assert.InRange(answer.InFlight, 64, LoadDepth);
        await machine.LoadGoesOnAsync();
        await StopLoadAsync(machine);
        await HoldsWhatTheFileHoldsAsync(machine, shared.Disk, "emulating");
    });

    [Theory]
    [InlineData("hypervisor", "emulating")]
    [InlineData("host", "emulating")]
    [InlineData("hypervisor", "enlightened")]
    public Task A_bus_that_is_rescinded_with_requests_in_flight_requeues_only_those_not_completed(string who, string stack) => shared.UseAsync(async machine =>
    {
        await machine.ModeAsync("enlightened");
        await StartLoadAsync(machine, stack);
        for (var round = 0; round < 5; round++)
        {
            var held = await machine.CompletedAsync();
            Stop(machine.Host);
            ProcessTable.Send((who == "host" ? machine.Host : machine.Hypervisor).Id, ProcessTable.SIGUSR1);
            ProcessTable.Send(machine.Host.Id, ProcessTable.SIGCONT);
            await ModeIsAsync(machine, "emulating");
            await Until.TrueAsync(async () => (await machine.CompletedAsync()).Trap > held.Trap + 50, "50 requests take the trap path");
            ProcessTable.Send((who == "host" ? machine.Host : machine.Hypervisor).Id, ProcessTable.SIGUSR2);
            await ModeIsAsync(machine, "enlightened");
            await machine.LoadGoesOnAsync();
        }
        await StopLoadAsync(machine);
        await HoldsWhatTheFileHoldsAsync(machine, shared.Disk, stack);
    });

    [Fact]
    public Task Concurrent_writes_of_two_stacks_to_one_block_leave_one_of_them_whole() => shared.UseAsync(async machine =>
    {
        var data = await machine.DataAsync();
        await machine.ModeAsync("enlightened");
        // Each stack uses the other one's path.
        await machine.AskAsync("reverse-shunt emulating");
        var race = await machine.AskAsync($"race --first-sector {data.First} --blocks 16 --rounds 100");
        output.WriteLine(race.ToString());
        foreach (var fault in new[] { "torn", "foreign", "disagreed", "overtaken" }) Assert.Equal(0, race.GetProperty(fault).GetInt64());
        Assert.Equal(100 * 16 * 8, race.GetProperty("wonByEmulating").GetInt64() + race.GetProperty("wonByEnlightened").GetInt64());
        var completed = await machine.CompletedAsync();
        Assert.True(completed is { Trap: > 3000, Ring: > 3000 }, $"{completed}");
        await machine.AskAsync("flush");
        await HoldsWhatTheFileHoldsAsync(machine, shared.Disk, "emulating");
    });

    [Fact]
    public async Task The_emulating_stack_is_removed_with_requests_of_the_other_stack_in_flight()
    {
        var disk = own.CopyTo(_folder);
        await using var machine = await RunningMachine.BootAsync(disk);
        await machine.ModeAsync("enlightened");
        await machine.AskAsync("reverse-shunt emulating");
        await StartLoadAsync(machine, "enlightened");
        Stop(machine.Host);
        await machine.AskAsync("reverse-shunt inert");
        // They are in the command list of a port that loses its driver.
        var removing = machine.AskAsync("stack remove");
        ProcessTable.Send(machine.Host.Id, ProcessTable.SIGCONT);
        await removing;
        await machine.LoadGoesOnAsync();
        await StopLoadAsync(machine);
        await HoldsWhatTheFileHoldsAsync(machine, disk, "enlightened");
    }

    [Fact]
    public async Task A_bus_that_another_VM_H_has_taken_over_is_not_used()
    {
        string disk = own.CopyTo(_folder), other = _folder.RandomFile("other.img", (int)new FileInfo(disk).Length, seed: 5);
        string bus = _folder["ring"], trap = _folder["trap"], socket = _folder["hypervisor"];
        var before = await FileHash.OfAsync(other, default);
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", bus, "--vfio-user", trap);
        await using var hypervisor = await Programs.StartReadyAsync("vmshunt-hypervisor", "--socket", socket, "--device", $"disk0,vhost-user={bus},vfio-user={trap}");
        await using var guest = await Programs.StartReadyAsync("vmshunt-guest", "--hypervisor", socket, "--memory", "32M", "console");
        var console = new GuestConsole(guest);
        var data = (await AskAsync("info")).GetProperty("partitions").EnumerateArray().Single(static p => p.GetProperty("name").GetString() == "data");
        await AskAsync($"load start --stack enlightened --depth {LoadDepth} --write --first-sector {data.GetProperty("firstSector")} --sectors {data.GetProperty("sectors")}");

        ProcessTable.Send(host.Id, ProcessTable.SIGUSR1);
        await Until.TrueAsync(() => !File.Exists(bus), "VM-H removes its socket");
        await using var thief = await Programs.StartReadyAsync("vmshunt-host", "--disk", other, "--vhost-user", bus);
        for (var round = 0; round < 3; round++)
        {
            ProcessTable.Send(hypervisor.Id, ProcessTable.SIGUSR1);
            ProcessTable.Send(hypervisor.Id, ProcessTable.SIGUSR2);
            await RefusedAsync();
        }
        await Until.TrueAsync(
            async () =>
            {
                // Two signals sent at once may be handled in either order.
                ProcessTable.Send(hypervisor.Id, ProcessTable.SIGUSR2);
                await RefusedAsync();
                return hypervisor.LastErrors.Any(line => line.Contains($"process {thief.Id} listens on {bus}", StringComparison.Ordinal));
            },
            "the hypervisor logs which process listens");
        Assert.Equal("emulating", (await AskAsync("info")).GetProperty("mode").GetString());

        // VM-H listens again as soon as it can: the guest uses its own disk again.
        ProcessTable.Send(thief.Id, ProcessTable.SIGKILL);
        await Programs.WaitForEndAsync(thief);
        File.Delete(bus);
        ProcessTable.Send(host.Id, ProcessTable.SIGUSR2);
        await AskAsync("mode emulating");
        await Until.TrueAsync(async () => (await AskAsync("info")).GetProperty("bus").GetBoolean(), "the bus is offered");
        await AskAsync("mode enlightened");
        var load = await console.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer, Until.Patience, default);
        Assert.Equal((0, 0, 0, 0), (load.Failed, load.Lost, load.Repeated, load.Mismatched));
        Assert.Equal(before, await FileHash.OfAsync(other, default));
        Assert.Equal(await FileHash.OfAsync(disk, default), (await AskAsync("hash --stack enlightened")).GetProperty("sha256").GetString());

        async Task RefusedAsync() => Assert.Contains("bus", (await Assert.ThrowsAsync<LaunchException>(() => AskAsync("mode enlightened"))).Message, StringComparison.Ordinal);

        Task<System.Text.Json.JsonElement> AskAsync(string command) => console.AskAsync(command, Programs.AnyAnswer, Until.Patience, default);
    }

    [Fact]
    public async Task A_guest_that_poses_as_another_gets_a_partition_of_its_own_and_does_not_disturb_it()
    {
        var disk = own.CopyTo(_folder);
        string bus = _folder["ring"], trap = _folder["trap"], socket = _folder["hypervisor"];
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", bus, "--vfio-user", trap);
        await using var hypervisor = await Programs.StartReadyAsync("vmshunt-hypervisor", "--socket", socket, "--device", $"disk0,vhost-user={bus},vfio-user={trap}");
        await using var guest = await Programs.StartReadyAsync("vmshunt-guest", "--hypervisor", socket, "--memory", "32M", "console");
        var console = new GuestConsole(guest);
        await AskAsync("load start --stack enlightened --depth 64");
        for (var life = 0; life < 3; life++)
        {
            // The same image, devices and hypercalls; the third time it connects to the bus socket itself.
            await using var second = life == 2
                ? await Programs.StartReadyAsync("vmshunt-guest", "--bus", bus, "--memory", "32M", "console")
                : await Programs.StartReadyAsync("vmshunt-guest", "--hypervisor", socket, "--memory", "32M", "console");
            var other = new GuestConsole(second);
            await other.AskAsync("load start --depth 64", Programs.AnyAnswer, Until.Patience, default);
            if (life == 0) await other.AskAsync("crash", Programs.AnyAnswer, Until.Patience, default);
            else ProcessTable.Send(second.Id, ProcessTable.SIGKILL);
            await Programs.WaitForEndAsync(second);
            Assert.Equal("enlightened", (await AskAsync("info")).GetProperty("mode").GetString());
        }
        var load = await console.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer, Until.Patience, default);
        Assert.Equal((0, 0, 0, 0), (load.Failed, load.Lost, load.Repeated, load.Mismatched));
        Assert.True(load.Completed > 0);

        Task<System.Text.Json.JsonElement> AskAsync(string command) => console.AskAsync(command, Programs.AnyAnswer, Until.Patience, default);
    }

    private static void Stop(ChildProcess process)
    {
        ProcessTable.Send(process.Id, ProcessTable.SIGSTOP);
        SpinWait.SpinUntil(() => ProcessTable.IsStopped(process.Id), Until.Patience);
    }

    private static Task ModeIsAsync(RunningMachine machine, string mode) =>
        Until.TrueAsync(async () => (await machine.InfoAsync()).Mode == mode, $"the guest is in {mode} mode");

    private static async Task StartLoadAsync(RunningMachine machine, string stack)
    {
        var data = await machine.DataAsync();
        await machine.AskAsync($"load start --stack {stack} --depth {LoadDepth} --write --first-sector {data.First} --sectors {data.Count}");
        await machine.LoadGoesOnAsync();
    }

    private async Task StopLoadAsync(RunningMachine machine)
    {
        var load = await machine.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer);
        output.WriteLine(load.ToString());
        Assert.Equal((0, 0, 0, 0), (load.Failed, load.Lost, load.Repeated, load.Mismatched));
        Assert.Equal(load.Requests, load.Completed);
    }

    private static async Task HoldsWhatTheFileHoldsAsync(RunningMachine machine, string disk, string stack) =>
        Assert.Equal(await FileHash.OfAsync(disk, default), (await machine.AskAsync($"hash --stack {stack}", GuestAnswersJson.Default.HashAnswer)).Sha256);
}
