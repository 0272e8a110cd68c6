using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;
using Xunit.Abstractions;

namespace VmShunt.EndToEnd.Shunt;

public sealed class DeviceTests(OwnDisk own, ITestOutputHelper output) : IClassFixture<OwnDisk>, IDisposable
{
    private const int PerDisk = 50;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task In_enlightened_mode_an_application_cannot_find_the_emulated_disk_and_sends_the_shunt_nothing()
    {
        await using var machine = await RunningMachine.BootAsync(own.CopyTo(_folder));
        Assert.Equal(["ahci0", "sda"], await DevicesAsync(machine));
        var probe = await ProbeAsync(machine);
        Assert.Equal("sda | sda | ahci0", probe.Found);
        Assert.Equal((3 * PerDisk, 0, 0), (probe.Requests, probe.Shunted, probe.Suppressed));

        await machine.ModeAsync("enlightened");
        Assert.Equal(["ahci0", "vda"], await DevicesAsync(machine));
        probe = await ProbeAsync(machine);
        Assert.Equal("vda | vda | ", probe.Found);
        Assert.Equal((2 * PerDisk, 0), (probe.Requests, probe.Shunted));
        // Not listed, not opened by name, and hidden in PxSSTS.
        Assert.InRange(probe.Suppressed, 3, long.MaxValue);
        Assert.Contains("there is no disk on ahci0", await machine.RefusalAsync("stack build"), StringComparison.Ordinal);

        await machine.AskAsync("suppress off");
        var without = await ProbeAsync(machine);
        output.WriteLine($"requests that reach the shunt: {without.Shunted} without suppression, {probe.Shunted} with it; {probe.Suppressed} queries suppressed");
        Assert.Equal("sda vda | sda vda | ahci0", without.Found);
        Assert.Equal((5 * PerDisk, 3 * PerDisk, 0), (without.Requests, without.Shunted, without.Suppressed));
        await machine.AskAsync("suppress on");
        Assert.Equal(["ahci0", "vda"], await DevicesAsync(machine));

        // In alternate mode the emulated disk is the only one.
        await machine.ModeAsync("alternate");
        Assert.Equal(["ahci0", "sda"], await DevicesAsync(machine));
    }

    [Fact]
    public async Task After_a_rescind_and_after_a_crash_the_emulated_disk_is_visible_again()
    {
        await using var machine = await RunningMachine.BootAsync(own.CopyTo(_folder));
        await machine.ModeAsync("enlightened");
        Assert.Equal(["ahci0", "vda"], await DevicesAsync(machine));
        ProcessTable.Send(machine.Hypervisor.Id, ProcessTable.SIGUSR1);
        await Until.TrueAsync(async () => (await DevicesAsync(machine)).Contains("sda"), "the emulated disk is visible again");
        Assert.Equal("sda | sda | ahci0", (await ProbeAsync(machine)).Found);
        ProcessTable.Send(machine.Hypervisor.Id, ProcessTable.SIGUSR2);
        await Until.TrueAsync(async () => !(await DevicesAsync(machine)).Contains("sda"), "the emulated disk is hidden again");

        await machine.AskAsync("crash --in-flight 8");
        await machine.GuestEndsAsync();
        await machine.StartGuestAsync();
        Assert.Equal(["ahci0", "sda"], await DevicesAsync(machine));
        Assert.Equal("sda | sda | ahci0", (await ProbeAsync(machine)).Found);
    }

    [Fact]
    public async Task A_query_during_a_transition_finds_exactly_one_disk()
    {
        await using var machine = await RunningMachine.BootAsync(own.CopyTo(_folder));
        await machine.ModeAsync("enlightened");
        var (emulated, enlightened) = (0, 0);
        for (var round = 0; round < 40; round++)
        {
            ProcessTable.Send(machine.Hypervisor.Id, round % 2 == 0 ? ProcessTable.SIGUSR1 : ProcessTable.SIGUSR2);
            string[] devices;
            do
            {
                devices = await DevicesAsync(machine);
                Assert.True(devices is ["ahci0", "sda"] or ["ahci0", "vda"], string.Join(' ', devices));
                if (devices[1] == "sda") emulated++;
                else enlightened++;
            }
            while (devices[1] != (round % 2 == 0 ? "sda" : "vda"));
        }
        Assert.True(emulated >= 20 && enlightened >= 20);
    }

    [Fact]
    public async Task A_stack_that_an_application_builds_contains_the_shunt_whichever_stack_drives_the_port()
    {
        var disk = own.CopyTo(_folder);
        await using var machine = await RunningMachine.BootAsync(disk);
        var data = await machine.DataAsync();
        await machine.ModeAsync("enlightened");
        await machine.AskAsync("suppress off");
        foreach (var isFirstRemoved in new[] { false, true })
        {
            if (isFirstRemoved) await machine.AskAsync("stack remove");
            Assert.Equal(isFirstRemoved, (await machine.AskAsync("stack build")).GetProperty("drivesPort").GetBoolean());
            var before = await machine.CompletedAsync();
            await machine.AskAsync($"load start --stack application --write --first-sector {data.First} --sectors {data.Count}");
            await Until.TrueAsync(
                async () =>
                {
                    var exits = machine.Statistics().Exits;
                    await machine.LoadGoesOnAsync();
                    return machine.Statistics().Exits == exits;
                },
                "hundreds of its requests cost no exit");
            Assert.Equal(before.Trap, (await machine.CompletedAsync()).Trap);

            // Its own trap path below the shunt works when the bus is rescinded.
            ProcessTable.Send(machine.Hypervisor.Id, ProcessTable.SIGUSR1);
            await Until.TrueAsync(async () => (await machine.CompletedAsync()).Trap > before.Trap, "its requests take the trap path");
            await machine.LoadGoesOnAsync(100);
            ProcessTable.Send(machine.Hypervisor.Id, ProcessTable.SIGUSR2);
            await Until.TrueAsync(async () => (await machine.InfoAsync()).Mode == "enlightened", "the bus is used again");
            before = await machine.CompletedAsync();
            await Until.TrueAsync(async () => (await machine.CompletedAsync()).Ring > before.Ring + 100, "its requests take the ring path");

            var load = await machine.AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer);
            output.WriteLine(load.ToString());
            Assert.Equal((0, 0, 0, 0), (load.Failed, load.Lost, load.Repeated, load.Mismatched));
            Assert.Equal(load.Requests, load.Completed);
            var hash = await machine.AskAsync("hash --stack application", GuestAnswersJson.Default.HashAnswer);
            Assert.Equal(await Perf.Disks.FileHash.OfAsync(disk, default), hash.Sha256);
            await machine.AskAsync("stack drop");
        }
    }

    private static async Task<string[]> DevicesAsync(RunningMachine machine) =>
        [.. (await machine.AskAsync("devices")).GetProperty("devices").EnumerateArray().Select(static d => d.GetProperty("name").GetString()!)];

    private static async Task<Probe> ProbeAsync(RunningMachine machine)
    {
        var answer = await machine.AskAsync($"probe --requests {PerDisk}");
        return new Probe(
            $"{Names("listed")} | {Names("named")} | {Names("registers")}",
            answer.GetProperty("requests").GetInt64(), answer.GetProperty("shunted").GetInt64(), answer.GetProperty("suppressedQueries").GetInt64());

        string Names(string kind) => string.Join(' ', answer.GetProperty(kind).EnumerateArray().Select(static n => n.GetString()));
    }

    private sealed record Probe(string Found, long Requests, long Shunted, long Suppressed);
}
