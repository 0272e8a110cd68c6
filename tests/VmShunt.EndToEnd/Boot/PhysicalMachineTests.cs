using System.Text.Json;
using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Measure;

namespace VmShunt.EndToEnd.Boot;

/// <summary>The disk that boots VM-C also boots a machine without a hypervisor.</summary>
public sealed class PhysicalMachineTests(OwnDisk own) : IClassFixture<OwnDisk>, IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task The_same_image_starts_on_a_physical_machine_finds_no_bus_and_works()
    {
        var disk = own.CopyTo(_folder);
        SectorRange data;
        // VM-C writes by the ring path ...
        await using (var machine = await RunningMachine.BootAsync(disk))
        {
            Assert.Equal("image", (await machine.AskAsync("info")).GetProperty("boot").GetString());
            data = await machine.DataAsync();
            await machine.ModeAsync("enlightened");
            await machine.AskAsync($"fill --sector {data.First} --count 256 --seed 7");
        }

        // ... and the physical machine, whose kernel comes from the same disk, reads it.
        await using (var machine = await StartAsync(disk))
        {
            var info = await AskAsync(machine, "info");
            Assert.Equal(("emulating", "image", false), (info.GetProperty("mode").GetString(), info.GetProperty("boot").GetString(), info.GetProperty("bus").GetBoolean()));
            await AskAsync(machine, $"fill --verify --sector {data.First} --count 256 --seed 7");
            Assert.Equal(await FileHash.OfAsync(disk, default), (await AskAsync(machine, "hash")).GetProperty("sha256").GetString());
            var refused = await Assert.ThrowsAsync<LaunchException>(() => AskAsync(machine, "mode enlightened"));
            Assert.Contains("bus", refused.Message, StringComparison.Ordinal);

            await AskAsync(machine, $"load start --depth 32 --write --first-sector {data.First} --sectors {data.Count}");
            await Until.TrueAsync(async () => (await AskAsync(machine, "info")).GetProperty("requests").GetProperty("trap").GetInt64() > 2000, "two thousand requests complete");
            var load = await new GuestConsole(machine).AskAsync("load stop", GuestAnswersJson.Default.LoadAnswer, default, default);
            Assert.Equal((0, 0, 0, 0), (load.Failed, load.Lost, load.Repeated, load.Mismatched));
            await AskAsync(machine, $"fill --sector {data.First} --count 256 --seed 8");
            await AskAsync(machine, "quit");
            Assert.Equal(0, (await Programs.WaitForEndAsync(machine)).ExitCode);
        }

        await using (var machine = await RunningMachine.BootAsync(disk))
        {
            await machine.ModeAsync("enlightened");
            await machine.AskAsync($"fill --verify --sector {data.First} --count 256 --seed 8");
        }
    }

    [Fact]
    public async Task A_crash_of_a_physical_machine_is_dumped_and_found_in_the_virtual_one()
    {
        var disk = own.CopyTo(_folder);
        await using (var machine = await StartAsync(disk))
        {
            var crash = await AskAsync(machine, "crash --in-flight 16");
            Assert.Equal(0, crash.GetProperty("dump").GetProperty("allocatedBytes").GetInt64());
            Assert.Equal(0, (await Programs.WaitForEndAsync(machine)).ExitCode);
        }
        await using var virtualMachine = await RunningMachine.BootAsync(disk);
        var dump = await virtualMachine.AskAsync($"dump export {_folder["core"]}");
        Assert.True(dump.GetProperty("valid").GetBoolean(), "the core matches the checksum that the crash path made");
    }

    [Fact]
    public async Task A_physical_machine_refuses_the_option_hypervisor()
    {
        var ended = await Programs.RunAsync("vmshunt-machine", "--disk", "mem:64M", "--hypervisor", "x", "info");
        Assert.Equal(1, ended.ExitCode);
        Assert.Contains("a physical machine has neither a hypervisor", ended.ErrorText, StringComparison.Ordinal);
    }

    private static async Task<ChildProcess> StartAsync(string disk)
    {
        var machine = Programs.Start("vmshunt-machine", "--disk", disk, "--memory", $"{OwnDisk.MemoryBytes}", "console");
        await Programs.WaitForLineAsync(machine, "ready");
        return machine;
    }

    private static Task<JsonElement> AskAsync(ChildProcess machine, string command) => new GuestConsole(machine).AskAsync(command, Programs.AnyAnswer, default, default);
}
