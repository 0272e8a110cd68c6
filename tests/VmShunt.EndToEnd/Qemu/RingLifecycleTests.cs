using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>
/// A Linux guest in QEMU keeps its disks under load, whatever happens to VM-H and to the guest: a disk that is lost makes no
/// progress and says nothing.
/// </summary>
public sealed class RingLifecycleTests(LifecycleGuest guests) : IClassFixture<LifecycleGuest>
{
    private const int Rounds = 3;

    [LinuxGuestTheory]
    [QemuData(QemuDataAttribute.Machine)]
    [QemuData(QemuDataAttribute.Sid)]
    public Task VM_H_ends_in_order_and_starts_again(string qemu) => UnderLoadAsync(qemu, static async (_, disk) =>
    {
        await disk.RestartHostAsync(Signal.Terminate);
        await disk.ProgressAsync("SIGTERM and a start");
    });

    [LinuxGuestTheory]
    [QemuData(QemuDataAttribute.Machine)]
    [QemuData(QemuDataAttribute.Sid)]
    public Task VM_H_withdraws_the_bus_and_offers_it_again(string qemu) => UnderLoadAsync(qemu, static async (_, disk) =>
    {
        var before = Withdrawals(disk.Host);
        ProcessTable.Send(disk.Host.Id, ProcessTable.SIGUSR1);
        // .NET handles two signals at once in any order, so the second is sent when the first has been handled.
        await Until.TrueAsync(() => Withdrawals(disk.Host) > before, "VM-H withdraws the bus");
        ProcessTable.Send(disk.Host.Id, ProcessTable.SIGUSR2);
        await disk.ProgressAsync("SIGUSR1 and SIGUSR2");
    });

    [LinuxGuestTheory]
    [QemuData(QemuDataAttribute.Machine)]
    [QemuData(QemuDataAttribute.Sid)]
    public Task VM_H_is_killed_and_starts_again(string qemu) => UnderLoadAsync(qemu, static async (_, disk) =>
    {
        await disk.RestartHostAsync(ProcessTable.SIGKILL);
        await disk.ProgressAsync("SIGKILL and a start");
    });

    [LinuxGuestTheory]
    [QemuData(QemuDataAttribute.Machine)]
    [QemuData(QemuDataAttribute.Sid)]
    public Task The_guest_is_stopped_and_continued(string qemu) => UnderLoadAsync(qemu, static async (machine, disk) =>
    {
        await machine.Monitor.ExecuteAsync("stop");
        await machine.Monitor.ExecuteAsync("cont");
        await disk.ProgressAsync("stop and cont");
    });

    // QEMU 7.2 does not reconnect a device that is not started: it removes the connection's handlers at the close, and installs
    // them again only for one that is (vhost_user_async_close_bh). No back-end can help.
    [LinuxGuestTheory]
    [QemuData(QemuDataAttribute.Sid)]
    public Task VM_H_ends_while_the_guest_is_stopped(string qemu) => UnderLoadAsync(qemu, static async (machine, disk) =>
    {
        await machine.Monitor.ExecuteAsync("stop");
        await disk.RestartHostAsync(Signal.Terminate);
        await machine.Monitor.ExecuteAsync("cont");
        await disk.ProgressAsync("stop, a restart of VM-H and cont");
    });

    [TracedLinuxGuestTheory]
    [QemuData(QemuDataAttribute.Machine)]
    [QemuData(QemuDataAttribute.Sid)]
    public Task VM_H_dies_between_the_used_index_and_the_call(string qemu) => UnderLoadAsync(qemu, static async (_, disk) =>
    {
        // The only writes of a ring's thread are its calls. The signal arrives when the thread enters the system call.
        await using var strace = Programs.Start(
            Installed.Require("strace"), "-p", $"{ThreadOf(disk.Host.Id, "vring 0")}", "-e", "trace=write", "-e", "inject=write:signal=KILL:when=7");
        await disk.ReplaceHostAsync();
        await disk.ProgressAsync("a death before the call");
    });

    [LinuxGuestTheory]
    [QemuData(QemuDataAttribute.Machine)]
    [QemuData(QemuDataAttribute.Sid)]
    public Task A_guest_without_indirect_descriptors_sends_no_request_that_its_ring_cannot_hold(string qemu) => guests.UseAsync(QemuProgram.Of(qemu), static async machine =>
    {
        foreach (var disk in machine.WithoutIndirect)
        {
            // Dirtied from the last page to the first, neighbours on the disk are not neighbours in memory: without a limit, the
            // write of 1 MiB has 256 segments. The last close of the device would write each page at once.
            await machine.Guest.RunAsync(
                $"exec 3<> {disk.Device}; i=319; while [ $i -ge 0 ]; do dd if=/seed of={disk.Device} bs=4k count=1 skip=$((i % 256)) seek=$i conv=notrunc 2> /dev/null; i=$((i - 1)); done; sync; exec 3>&-; "
                + $"echo 3 > /proc/sys/vm/drop_caches; dd if={disk.Device} bs=4k count=256 2> /dev/null | cmp - /seed");
            Assert.DoesNotContain(disk.Host.LastErrors, static line => line.Contains("never fit", StringComparison.Ordinal));
        }
    });

    private Task UnderLoadAsync(string qemu, Func<LifecycleGuest.Machine, RestartableDisk, Task> act) => guests.UseAsync(QemuProgram.Of(qemu), async machine =>
    {
        foreach (var disk in machine.Plain) await disk.StartLoadAsync();
        foreach (var disk in machine.Plain) await disk.ProgressAsync("the start of the load");
        for (var round = 0; round < LongForm.Choose(Rounds, 20 * Rounds); round++)
        {
            foreach (var disk in machine.Plain) await act(machine, disk);
        }
        foreach (var disk in machine.Plain) await disk.AssertLoadWellAsync();
    });

    private static int Withdrawals(ChildProcess host) => host.LastErrors.Count(static line => line.Contains("is closed, sessions are stopping", StringComparison.Ordinal));

    private static string ThreadOf(int processId, string name) => Path.GetFileName(
        Directory.EnumerateDirectories($"/proc/{processId}/task").Single(thread => File.ReadAllText(Path.Combine(thread, "comm")).Trim() == name));
}

/// <summary>As <see cref="LinuxGuestTheoryAttribute"/>, where the machine lets one process trace another.</summary>
public sealed class TracedLinuxGuestTheoryAttribute : TheoryAttribute
{
    public TracedLinuxGuestTheoryAttribute() =>
        // In CI a missing strace is a failure; a machine that forbids tracing is no fault of the code.
        Skip = LinuxGuest.Missing() ?? (Installed.IsContinuousIntegration && Installed.Find("strace") is null ? null : Strace.Refusal);
}
