using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Shunt;

/// <summary>A whole guest whose traps VM-H decides, in both forms of <c>--trap-state</c>.</summary>
public sealed class TrapStateTests(OwnDisk own) : IClassFixture<OwnDisk>
{
    [Theory]
    [InlineData("access", 68, 68)]
    [InlineData("full", 264, 256)]
    public async Task A_guest_boots_reads_writes_and_changes_its_mode_and_each_trap_has_so_many_bytes(string form, int readBytes, int writeBytes)
    {
        using var folder = new TestFolder();
        await using var machine = await RunningMachine.BootAsync(own.CopyTo(folder), trapState: form);
        var data = await machine.DataAsync();
        Assert.Equal(200, (await machine.BenchAsync("emulating", "randwrite", 8, data, requests: 200)).Requests);
        var before = await machine.SettledExitsAsync();
        var bytes = machine.Statistics().RegisterBytes;
        // Several at a time: for one alone the driver reads no register.
        Assert.Equal(400, (await machine.BenchAsync("emulating", "randread", 8, data, requests: 400)).Requests);
        var after = await machine.SettledExitsAsync();
        // A halt is the hypervisor's alone.
        var (reads, writes) = (after.MmioRead - before.MmioRead, after.MmioWrite - before.MmioWrite);
        Assert.InRange(reads, 30, 1000);
        Assert.InRange(writes, 100, 2000);
        Assert.Equal((reads * readBytes) + (writes * writeBytes), machine.Statistics().RegisterBytes - bytes);

        var trapped = (await machine.AskAsync($"hash --stack emulating --bytes {1 << 20}")).GetProperty("sha256").GetString();
        await machine.ModeAsync("enlightened");
        Assert.Equal(trapped, (await machine.AskAsync($"hash --stack enlightened --bytes {1 << 20}")).GetProperty("sha256").GetString());
    }
}
