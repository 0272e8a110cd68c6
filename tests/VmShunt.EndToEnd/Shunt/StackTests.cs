using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Shunt;

public sealed class StackTests(OwnDisk own, ITestOutputHelper output) : IClassFixture<OwnDisk>, IDisposable
{
    private static readonly int s_rounds = LongForm.Choose(8, 200);

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Without_its_emulating_stack_a_guest_works_until_it_crashes_and_then_says_what_was_lost()
    {
        var disk = own.CopyTo(_folder);
        await using var machine = await RunningMachine.BootAsync(disk);
        var data = await machine.DataAsync();
        Assert.Contains("in emulating mode the emulating stack is needed", await machine.RefusalAsync("stack remove"), StringComparison.Ordinal);
        await machine.ModeAsync("enlightened");

        // The stack is removed with requests in flight below its shunt.
        await machine.AskAsync($"load start --stack emulating --depth 128 --write --first-sector {data.First} --sectors {data.Count}");
        await machine.LoadGoesOnAsync();
        await machine.AskAsync("stack remove");
        await StopAsync(machine);
        Assert.Contains("the emulating stack was removed", await machine.RefusalAsync("hash --stack emulating"), StringComparison.Ordinal);
        Assert.Contains("only the enlightened mode is possible", await machine.RefusalAsync("mode emulating"), StringComparison.Ordinal);

        // While the bus is rescinded no path exists: requests wait, and none fails.
        await machine.AskAsync($"load start --stack enlightened --depth 128 --write --first-sector {data.First} --sectors {data.Count}");
        for (var round = 0; round < 5; round++)
        {
            await machine.LoadGoesOnAsync();
            ProcessTable.Send(machine.Hypervisor.Id, ProcessTable.SIGUSR1);
            await Until.TrueAsync(async () => (await machine.InfoAsync()).Mode == "emulating", "the bus is rescinded");
            ProcessTable.Send(machine.Hypervisor.Id, ProcessTable.SIGUSR2);
            await Until.TrueAsync(async () => (await machine.InfoAsync()).Mode == "enlightened", "the bus is offered again");
        }
        await StopAsync(machine);
        var hash = await machine.AskAsync("hash", GuestAnswersJson.Default.HashAnswer);
        Assert.Equal(await Perf.Disks.FileHash.OfAsync(disk, default), hash.Sha256);

        var guest = machine.Guest;
        Assert.Contains("no dump was written: the emulating stack was removed", await machine.RefusalAsync("crash --in-flight 0"), StringComparison.Ordinal);
        var ended = await Programs.WaitForEndAsync(guest);
        Assert.Equal(1, ended.ExitCode);
        Assert.Single(ended.Errors, static line => line.Contains("no dump was written: the emulating stack was removed", StringComparison.Ordinal) && line.Contains("are lost", StringComparison.Ordinal));
        Assert.NotNull(machine.Statistics().Crash);
    }

    [Fact]
    public async Task The_reverse_shunt_is_inert_or_diverts_to_the_emulating_stack_and_is_switched_under_load()
    {
        var disk = own.CopyTo(_folder);
        await using var machine = await RunningMachine.BootAsync(disk);
        var data = await machine.DataAsync();
        Assert.Contains("there is no enlightened stack", await machine.RefusalAsync("reverse-shunt emulating"), StringComparison.Ordinal);
        await machine.ModeAsync("enlightened");
        await machine.AskAsync($"load start --stack enlightened --depth 128 --write --first-sector {data.First} --sectors {data.Count}");
        await machine.LoadGoesOnAsync();
        Assert.Equal(0, await DivertedAsync(machine));

        for (var round = 0; round < s_rounds; round++)
        {
            await machine.AskAsync("reverse-shunt emulating");
            var before = await machine.CompletedAsync();
            await Until.TrueAsync(async () => (await machine.CompletedAsync()).Trap > before.Trap + 50, "requests of the enlightened stack take the trap");
            await machine.AskAsync("flush --stack enlightened");
            await machine.AskAsync("reverse-shunt inert");
            var diverted = await DivertedAsync(machine);
            before = await machine.CompletedAsync();
            await Until.TrueAsync(async () => (await machine.CompletedAsync()).Ring > before.Ring + 100, "they take the ring path");
            await machine.AskAsync("flush --stack enlightened");
            Assert.Equal(diverted, await DivertedAsync(machine));
        }
        await StopAsync(machine);

        // Shunt and reverse shunt both divert, each to the other's port driver: each stack completes its requests by the other's path.
        await machine.AskAsync("reverse-shunt emulating");
        var start = await machine.CompletedAsync();
        await machine.AskAsync("read --stack emulating --count 2048 --output /dev/null");
        var after = await machine.CompletedAsync();
        Assert.True(after.Ring > start.Ring && after.Trap == start.Trap);
        await machine.AskAsync("read --stack enlightened --count 2048 --output /dev/null");
        Assert.True((await machine.CompletedAsync()).Trap > after.Trap);
        foreach (var stack in new[] { "emulating", "enlightened" })
            Assert.Equal(await Perf.Disks.FileHash.OfAsync(disk, default), (await machine.AskAsync($"hash --stack {stack}", GuestAnswersJson.Default.HashAnswer)).Sha256);
    }

    [Fact]
    public async Task The_reverse_shunt_diverts_to_the_bus_of_another_host_partition()
    {
        string one = _folder.RandomFile("one.img", 4 << 20, seed: 1), two = _folder.RandomFile("two.img", 8 << 20, seed: 2);
        await using var first = await HostAsync("one", one);
        await using var second = await HostAsync("two", two);
        var socket = _folder["hypervisor"];
        await using var hypervisor = await Programs.StartReadyAsync("vmshunt-hypervisor", "--socket", socket, "--device", Device("one"), "--device", Device("two"));
        await using var guest = await Programs.StartReadyAsync("vmshunt-guest", "--hypervisor", socket, "--memory", "32M", "console");
        var console = new GuestConsole(guest);
        var (sumOfOne, sumOfTwo) = (await Perf.Disks.FileHash.OfAsync(one, default), await Perf.Disks.FileHash.OfAsync(two, default));

        // The second controller and its disk stay visible although the first one's shunt hides its disk.
        var devices = (await AskAsync("devices")).GetProperty("devices").EnumerateArray().Select(static d => d.GetProperty("name").GetString()!).ToArray();
        Assert.Equal(["ahci0", "vda", "ahci1", "sdb"], devices);
        Assert.Equal(["vda", "sdb"], (await AskAsync("probe --requests 10")).GetProperty("listed").EnumerateArray().Select(static d => d.GetString()!).ToArray());

        Assert.Equal(sumOfOne, await HashAsync());
        Assert.Contains("there is no other disk sdc; the other disks are: sdb", await RefusalAsync("reverse-shunt sdc"), StringComparison.Ordinal);
        await AskAsync("reverse-shunt sdb");
        Assert.Equal(sumOfTwo, await HashAsync());
        Assert.Equal(16384u, (await AskAsync("info")).GetProperty("disk").GetProperty("sectors").GetUInt32());
        await AskAsync("fill --stack enlightened --sector 9000 --count 64 --seed 3");
        await AskAsync("reverse-shunt inert");
        Assert.Equal(sumOfOne, await HashAsync());

        // The other VM-H rescinds its bus: its disk is reached by its own trap path, and the first disk is not touched.
        await AskAsync("reverse-shunt sdb");
        ProcessTable.Send(second.Id, ProcessTable.SIGUSR1);
        await AskAsync("fill --stack enlightened --sector 9000 --count 64 --seed 3 --verify");
        Assert.Equal(await Perf.Disks.FileHash.OfAsync(two, default), await HashAsync());
        Assert.NotEqual(sumOfTwo, await Perf.Disks.FileHash.OfAsync(two, default));
        Assert.Equal(sumOfOne, await Perf.Disks.FileHash.OfAsync(one, default));

        // It is offered again and used again without a command.
        ProcessTable.Send(second.Id, ProcessTable.SIGUSR2);
        await Until.TrueAsync(
            async () =>
            {
                var before = await RingedAsync();
                await AskAsync("read --stack enlightened --sector 0 --count 8 --output /dev/null");
                return await RingedAsync() > before;
            },
            "its requests take its ring again");

        async Task<long> RingedAsync() => (await AskAsync("info")).GetProperty("requests").GetProperty("ring").GetInt64();

        Task<Perf.Launch.ChildProcess> HostAsync(string name, string disk) =>
            Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", _folder[$"{name}.ring"], "--vfio-user", _folder[$"{name}.trap"]);

        string Device(string name) => $"{name},vhost-user={_folder[$"{name}.ring"]},vfio-user={_folder[$"{name}.trap"]}";

        Task<System.Text.Json.JsonElement> AskAsync(string command) => console.AskAsync(command, Programs.AnyAnswer, Until.Patience, default);

        async Task<string> RefusalAsync(string command) => (await Assert.ThrowsAsync<LaunchException>(() => AskAsync(command))).Message;

        async Task<string> HashAsync() => (await AskAsync("hash --stack enlightened")).GetProperty("sha256").GetString()!;
    }

    private static async Task<long> DivertedAsync(RunningMachine machine) =>
        (await machine.AskAsync("info")).GetProperty("stacks").GetProperty("reverseShunted").GetInt64();

    private async Task StopAsync(RunningMachine machine)
    {
        var load = await machine.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer);
        output.WriteLine(load.ToString());
        Assert.Equal((0, 0, 0, 0), (load.Failed, load.Lost, load.Repeated, load.Mismatched));
        Assert.Equal(load.Requests, load.Completed);
    }
}
