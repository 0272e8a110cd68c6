using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Lifecycle.Rigs;
using VmShunt.Ring.VhostUser;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>
/// A Linux guest in QEMU keeps its disks, with split and packed rings, idle and under verified load, whatever happens to VM-H
/// and to the guest. <c>perf lifecycle</c> runs the whole matrix.
/// </summary>
public sealed class RingLifecycleTests(LifecycleRigs rigs) : IClassFixture<LifecycleRigs>
{
    // What the runtime does with the thread's memory and schedule, and the end of a wait that strace interrupted.
    private static readonly string[] s_runtimeCalls =
        ["mmap", "munmap", "mprotect", "madvise", "sched_getaffinity", "sched_setaffinity", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "membarrier", "gettid", "tgkill", "getpid", "restart_syscall"];

    [LinuxGuestTheory]
    [QemuData(QemuDataAttribute.Machine, "SIGTERM")]
    [QemuData(QemuDataAttribute.Sid, "SIGTERM")]
    [QemuData(QemuDataAttribute.Machine, "SIGUSR1/SIGUSR2")]
    [QemuData(QemuDataAttribute.Sid, "SIGUSR1/SIGUSR2")]
    [QemuData(QemuDataAttribute.Machine, "SIGKILL")]
    [QemuData(QemuDataAttribute.Sid, "SIGKILL")]
    [QemuData(QemuDataAttribute.Machine, "stop/cont")]
    [QemuData(QemuDataAttribute.Sid, "stop/cont")]
    [QemuData(QemuDataAttribute.Machine, "SIGSTOP/SIGCONT")]
    [QemuData(QemuDataAttribute.Sid, "unbind/bind")]
    [QemuData(QemuDataAttribute.Sid, "S3")]
    [QemuData(QemuDataAttribute.Machine, "system_reset")]
    [QemuData(QemuDataAttribute.Sid, "front-end killed")]
    public async Task The_disks_are_used_again_after(string qemu, string what) => AllPassed(await RunAsync(qemu, LifecycleEvent.All.Single(e => e.Name == what)));

    [LinuxGuestTheory]
    [QemuData(QemuDataAttribute.Machine)]
    [QemuData(QemuDataAttribute.Sid)]
    public async Task A_guest_under_load_migrates(string qemu)
    {
        for (var i = 0; i < LongForm.Choose(1, 20); i++) AllPassed(await RunAsync(qemu, LifecycleEvent.All.Single(static e => e.Kind == EventKind.Migrate)));
    }

    // QEMU 7.2 does not reconnect a device that is not started: it removes the connection's handlers at the close, and installs
    // them again only for one that is (vhost_user_async_close_bh). No back-end can help.
    [LinuxGuestTheory]
    [QemuData(QemuDataAttribute.Sid)]
    public async Task VM_H_ends_while_the_guest_is_stopped(string qemu) => AllPassed(await RunAsync(qemu, new("stop/SIGTERM/cont", EventKind.TerminateInPause)));

    [TracedLinuxGuestTheory]
    [QemuData(QemuDataAttribute.Machine, "write")]
    [QemuData(QemuDataAttribute.Sid, "write")]
    [QemuData(QemuDataAttribute.Machine, "read")]
    [QemuData(QemuDataAttribute.Sid, "pwritev")]
    [QemuData(QemuDataAttribute.Sid, "fdatasync")]
    public async Task VM_H_dies_at_a_system_call(string qemu, string call)
    {
        var outcomes = await RunAsync(qemu, LifecycleEvent.All.Single(e => e.SystemCall == call));
        AllPassed(outcomes.Where(static outcome => outcome.Verdict != LifecycleVerdict.DoesNotExist));
        Assert.Contains(outcomes, static outcome => outcome is { IsLoaded: true, Verdict: LifecycleVerdict.Passed });
    }

    [TracedLinuxGuestTheory]
    [QemuData(QemuDataAttribute.Sid)]
    public async Task A_guest_migrates_while_its_disk_has_not_answered_and_its_next_host_waits_for_the_old_write(string qemu)
    {
        await using var rig = await QemuRig.BootAsync(QemuProgram.Of(qemu), VhostUserProtocolFeatures.None, moreOfDisks: ",inflight-migration=on");
        AllPassed(await rig.RunAsync(new("migrate", EventKind.MigrateStalled)));
        foreach (var disk in rig.Served.Where(static disk => disk.IsLoaded))
        {
            var said = disk.SourceSaid.ToList();
            var abandoned = said.FindIndex(static line => line.Contains("was stopped while the disk had not answered", StringComparison.Ordinal));
            var answered = said.FindIndex(static line => line.Contains("it has answered the request", StringComparison.Ordinal));
            var released = said.FindIndex(static line => line.Contains("flushed and released", StringComparison.Ordinal));
            Assert.True(abandoned >= 0 && abandoned < answered && answered < released, string.Join('\n', disk.SourceSaid));
            Assert.Contains(disk.Said, static line => line.Contains("requests wait until it is released", StringComparison.Ordinal));
        }
    }

    [TracedLinuxGuestTheory]
    [QemuData(QemuDataAttribute.Machine)]
    public async Task The_matrix_has_each_system_call_of_a_rings_thread(string qemu)
    {
        await using var rig = await QemuRig.BootAsync(QemuProgram.Of(qemu), VhostUserProtocolFeatures.None);
        var calls = await rig.CallsUnderLoadAsync();
        Assert.Contains("write", calls);
        Assert.Empty(calls.Except(LifecycleEvent.All.Select(static what => what.SystemCall)).Except(s_runtimeCalls));
    }

    [LinuxGuestTheory]
    [QemuData(QemuDataAttribute.Sid)]
    public async Task A_packed_ring_that_was_killed_without_an_in_flight_record_is_logged_and_a_split_one_continues(string qemu)
    {
        await using var rig = await QemuRig.BootAsync(QemuProgram.Of(qemu), VhostUserProtocolFeatures.InflightSharedMemory);
        foreach (var outcome in await rig.RunAsync(new("SIGKILL", EventKind.Kill)))
            Assert.Equal(outcome.IsPacked ? LifecycleVerdict.CannotBeSaved : LifecycleVerdict.Passed, outcome.Verdict);
    }

    [LinuxGuestTheory]
    [QemuData(QemuDataAttribute.Machine)]
    [QemuData(QemuDataAttribute.Sid)]
    public async Task A_guest_without_indirect_descriptors_sends_no_request_that_its_ring_cannot_hold(string qemu)
    {
        await using var rig = await QemuRig.BootAsync(QemuProgram.Of(qemu), VhostUserProtocolFeatures.None, moreOfDisks: ",indirect_desc=off");
        foreach (var disk in new[] { "vda", "vdc" })
        {
            // Dirtied from the last page to the first, neighbours on the disk are not neighbours in memory: without a limit, the
            // write of 1 MiB has 256 segments. The last close of the device would write each page at once.
            await rig.Guest.RunAsync(
                $"exec 3<> /dev/{disk}; i=319; while [ $i -ge 0 ]; do dd if=/seed of=/dev/{disk} bs=4k count=1 skip=$((i % 256)) seek=$i conv=notrunc 2> /dev/null; i=$((i - 1)); done; sync; exec 3>&-; "
                + $"echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/{disk} bs=4k count=256 2> /dev/null | cmp -n 1048576 - /seed");
        }
        Assert.DoesNotContain(rig.Said, static line => line.Contains("never fit", StringComparison.Ordinal));
    }

    private Task<IReadOnlyList<CellOutcome>> RunAsync(string qemu, LifecycleEvent what) =>
        rigs.RunAsync(qemu, what, async () => await QemuRig.BootAsync(QemuProgram.Of(qemu), VhostUserProtocolFeatures.None, what.Engine));

    private static void AllPassed(IEnumerable<CellOutcome> outcomes) => Assert.All(outcomes, static outcome => Assert.Equal((LifecycleVerdict.Passed, ""), (outcome.Verdict, outcome.Detail)));
}

/// <summary>As <see cref="LinuxGuestTheoryAttribute"/>, where the machine lets one process trace another.</summary>
public sealed class TracedLinuxGuestTheoryAttribute : TheoryAttribute
{
    public TracedLinuxGuestTheoryAttribute() =>
        // In CI a missing strace is a failure; a machine that forbids tracing is no fault of the code.
        Skip = LinuxGuest.Missing() ?? (Installed.IsContinuousIntegration && Installed.Find("strace") is null ? null : Strace.Refusal);
}
