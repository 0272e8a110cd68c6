using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Crash;

/// <summary>A machine that cannot be dumped reports it in one line, exits with an error, and never hangs.</summary>
public sealed class CrashRefusalTests(OwnDisk own) : IClassFixture<OwnDisk>, IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_crash_with_a_stopped_VM_H_fails_after_the_timeout_and_says_why()
    {
        await using var machine = await CrashingMachine.BootAsync(_folder, own.CopyTo(_folder), new CrashSetup("enlightened", Patience: 2));
        await machine.LoadAsync(64, completes: true);
        ProcessTable.Send(machine.Host.Id, ProcessTable.SIGSTOP);
        try
        {
            var refused = await Assert.ThrowsAsync<LaunchException>(() => machine.AskAsync("crash --in-flight 32"));
            Assert.Contains("no dump was written: the device at ", refused.Message, StringComparison.Ordinal);
            Assert.Contains("the peer did nothing for 2 s", refused.Message, StringComparison.Ordinal);
            await AssertExitsWithOneLineAsync(machine, "crash on purpose; no dump was written: ");
        }
        finally
        {
            ProcessTable.Send(machine.Host.Id, ProcessTable.SIGCONT);
        }
        // VM-H serves the next guest.
        await machine.StartGuestAsync(new CrashSetup("enlightened"));
        await machine.AskAsync("hash");
    }

    [Fact]
    public async Task A_running_guest_with_a_stopped_VM_H_crashes_after_the_timeout_and_says_why()
    {
        await using var machine = await CrashingMachine.BootAsync(_folder, own.CopyTo(_folder), new CrashSetup("emulating", Patience: 2));
        ProcessTable.Send(machine.Host.Id, ProcessTable.SIGSTOP);
        try
        {
            await Assert.ThrowsAsync<LaunchException>(() => machine.AskAsync("hash"));
            await AssertExitsWithOneLineAsync(machine, "the peer did nothing for 2 s; no dump was written");
        }
        finally
        {
            ProcessTable.Send(machine.Host.Id, ProcessTable.SIGCONT);
        }
    }

    [Fact]
    public async Task A_crash_on_a_read_only_disk_names_the_failed_write()
    {
        await using var machine = await CrashingMachine.BootAsync(_folder, own.CopyTo(_folder), new CrashSetup("enlightened", HostArguments: "--read-only"));
        var refused = await Assert.ThrowsAsync<LaunchException>(() => machine.AskAsync("crash --in-flight 32"));
        Assert.Contains("no dump was written: WriteDmaExt of ", refused.Message, StringComparison.Ordinal);
        await AssertExitsWithOneLineAsync(machine, "crash on purpose; no dump was written: WriteDmaExt of ");
    }

    [Fact]
    public async Task A_crash_during_which_VM_H_is_killed_reports_the_lost_hypervisor()
    {
        await using var machine = await CrashingMachine.BootAsync(_folder, own.CopyTo(_folder), new CrashSetup("enlightened"));
        await machine.LoadAsync(64, completes: true);
        // The queue's thread hangs, so that the crash path waits for it.
        using (HeldThreads.Of(machine.Host.Id, "vring 0"))
        {
            var crash = machine.AskAsync("crash --in-flight 32");
            await machine.StepAsync("the guest crashed");
            ProcessTable.Send(machine.Host.Id, ProcessTable.SIGKILL);
            await Assert.ThrowsAsync<LaunchException>(() => crash);
        }
        await AssertExitsWithOneLineAsync(machine, "crash on purpose; no dump was written: the hypervisor is lost");
    }

    private static async Task AssertExitsWithOneLineAsync(CrashingMachine machine, string expected)
    {
        var ended = await Programs.WaitForEndAsync(machine.Guest);
        Assert.Equal(1, ended.ExitCode);
        var line = Assert.Single(ended.Errors, static l => l.Length > 0);
        Assert.StartsWith("vmshunt-guest: ", line, StringComparison.Ordinal);
        Assert.Contains(expected, line, StringComparison.Ordinal);
    }
}
