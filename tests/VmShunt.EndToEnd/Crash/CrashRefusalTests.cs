using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Crash;

/// <summary>A machine that cannot be dumped says so in one line, ends with an error, and never hangs.</summary>
public sealed class CrashRefusalTests(OwnDisk own) : IClassFixture<OwnDisk>, IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_stopped_host_partition_has_a_limit_after_which_the_crash_says_so()
    {
        await using var machine = await CrashingMachine.BootAsync(_folder, own.CopyTo(_folder), new CrashSetup("enlightened", Patience: 1));
        await machine.LoadAsync(64, completes: true);
        ProcessTable.Send(machine.Host.Id, ProcessTable.SIGSTOP);
        try
        {
            var refused = await Assert.ThrowsAsync<LaunchException>(() => machine.AskAsync("crash --in-flight 32"));
            Assert.Contains("no dump was written: the device at ", refused.Message, StringComparison.Ordinal);
            Assert.Contains("the peer did nothing for 1 s", refused.Message, StringComparison.Ordinal);
            await AssertEndsInOneLineAsync(machine, "crash on purpose; no dump was written: ");
        }
        finally
        {
            ProcessTable.Send(machine.Host.Id, ProcessTable.SIGCONT);
        }
        // Nothing of it stays: VM-H serves the next guest.
        await machine.StartGuestAsync(new CrashSetup("enlightened"));
        await machine.AskAsync("hash");
    }

    [Fact]
    public async Task A_stopped_host_partition_has_a_limit_after_which_a_living_guest_crashes_and_says_so()
    {
        await using var machine = await CrashingMachine.BootAsync(_folder, own.CopyTo(_folder), new CrashSetup("emulating", Patience: 1));
        ProcessTable.Send(machine.Host.Id, ProcessTable.SIGSTOP);
        try
        {
            await Assert.ThrowsAsync<LaunchException>(() => machine.AskAsync("hash"));
            await AssertEndsInOneLineAsync(machine, "the peer did nothing for 1 s; no dump was written");
        }
        finally
        {
            ProcessTable.Send(machine.Host.Id, ProcessTable.SIGCONT);
        }
    }

    [Fact]
    public async Task A_disk_that_takes_no_dump_is_named()
    {
        await using var machine = await CrashingMachine.BootAsync(_folder, own.CopyTo(_folder), new CrashSetup("enlightened", HostArguments: "--read-only"));
        var refused = await Assert.ThrowsAsync<LaunchException>(() => machine.AskAsync("crash --in-flight 32"));
        Assert.Contains("no dump was written: WriteDmaExt of ", refused.Message, StringComparison.Ordinal);
        await AssertEndsInOneLineAsync(machine, "crash on purpose; no dump was written: WriteDmaExt of ");
    }

    [Fact]
    public async Task A_host_partition_that_dies_under_the_crash_is_told_of()
    {
        await using var machine = await CrashingMachine.BootAsync(_folder, own.CopyTo(_folder), new CrashSetup("enlightened"));
        await machine.LoadAsync(64, completes: true);
        // The queue's thread hangs, so that the crash is still waiting for it.
        using (HeldThreads.Of(machine.Host.Id, "vring 0"))
        {
            var crash = machine.AskAsync("crash --in-flight 32");
            await machine.StepAsync("the guest crashed");
            ProcessTable.Send(machine.Host.Id, ProcessTable.SIGKILL);
            await Assert.ThrowsAsync<LaunchException>(() => crash);
        }
        await AssertEndsInOneLineAsync(machine, "crash on purpose; no dump was written: the hypervisor is lost");
    }

    private static async Task AssertEndsInOneLineAsync(CrashingMachine machine, string expected)
    {
        var ended = await Programs.WaitForEndAsync(machine.Guest);
        Assert.Equal(1, ended.ExitCode);
        var line = Assert.Single(ended.Errors, static l => l.Length > 0);
        Assert.StartsWith("vmshunt-guest: ", line, StringComparison.Ordinal);
        Assert.Contains(expected, line, StringComparison.Ordinal);
    }
}
