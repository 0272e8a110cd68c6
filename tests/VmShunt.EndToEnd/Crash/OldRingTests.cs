using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Crash;

/// <summary>Once a dump has begun, the old ring cannot reach the memory that is dumped.</summary>
public sealed class OldRingTests(OwnDisk own) : IClassFixture<OwnDisk>, IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_back_end_that_keeps_and_overwrites_guest_memory_does_not_change_the_dump(bool closesItsSocket)
    {
        var disk = own.CopyTo(_folder);
        using var hostile = new HostileBus(_folder["hostile"], (ulong)new FileInfo(disk).Length / 512, closesItsSocket);
        var setup = new CrashSetup("enlightened", Patience: 2, BusSocket: _folder["hostile"]);
        await using var machine = await CrashingMachine.BootAsync(_folder, disk, setup);
        await machine.LoadAsync(64, completes: false);

        var answer = await machine.AskAsync("crash --in-flight 64");
        Assert.InRange(answer.GetProperty("inFlight").GetInt32(), 64, int.MaxValue);
        Assert.Equal(0, (await Programs.WaitForEndAsync(machine.Guest)).ExitCode);
        Assert.InRange(hostile.Written, 1, long.MaxValue);
        var steps = machine.Record()!.Events.Select(static e => e.What).ToList();
        Assert.Contains(closesItsSocket ? "bus channel of disk0 revoked, VM-H closed it" : "bus channel of disk0 cut by force", steps);
        await machine.AssertDumpIsCorrectAsync(_folder, setup);
    }
}
