using VmShunt.BlockDriver;
using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Launch.Model;
using VmShunt.Perf.Measure;
using VmShunt.Trap.VmExit;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>
/// Where the time of a request is spent on each path at depth 1, from differences between measurements, each of which adds one
/// part to the one before it.
/// </summary>
internal sealed class HopsRow() : Row("hops", "where the time of a request goes, 4 KiB, depth 1")
{
    // VM exits of a read on the trap path: one to issue it and two in the interrupt handler, which VM-H answers, and the halt,
    // which the hypervisor answers alone. launch counts them (trapsPerRequest).
    private const int RegisterExits = 3, AllExits = RegisterExits + 1;

    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        await using var rig = new Rig(session);
        var workload = new Workload("randread", 4096, 1);
        EchoContestant echo = rig.Hold(new EchoContestant(session, RingLayout.Packed));
        RingContestant
            nothing = RingContestant.Of(session, "VM-H null", await rig.HostAsync(rig.NullDisk, "VM-H"), workload),
            memory = RingContestant.Of(session, "VM-H memory", await rig.HostAsync(rig.MemoryDisk, "VM-H"), workload),
            file = RingContestant.Of(session, "VM-H file", await rig.HostAsync(rig.CachedFile, "VM-H"), workload);
        // On the booted machine's VM-H and hypervisor, so that exits and whole requests use the same processes.
        var machine = await rig.MachineAsync(DiskPath.Mode(DiskPath.Trap));
        PathContestant trap = PathContestant.Of(session, DiskPath.Trap, machine, workload);
        var processor = rig.Hold(GuestPartition.Create(machine.HypervisorSocket, 16 << 20, 1)).StartProcessor(0);
        ExitContestant Exits(ExitKind kind) => new(session, machine.Host, machine.Hypervisor, processor, kind);
        ExitContestant hypercall = Exits(ExitKind.Hypercall), register = Exits(ExitKind.RegisterRead);
        var rounds = await Rounds.RunAsync(session, [echo, nothing, memory, file, hypercall, register, trap]);

        double Of(Contestant one) => rounds.Of(one).Of(Time).Median / 1000;
        var line = rounds.Yardstick(Calibration.PingPong).Nanoseconds.Median / 1000;
        double exit = Of(hypercall), access = Of(register), whole = Of(trap);
        return Result(rounds, []) with
        {
            Hops =
            [
                new HopBreakdown("ring", Of(file), InOrder(
                    new HopShare("cache-line round trip", line, Calibration.PingPong),
                    new HopShare("virtqueue: add, publish, pop, return, reap", Of(echo) - line, "bare virtqueue between two processes, minus the cache line"),
                    new HopShare("guest I/O stack, virtio-blk device", Of(nothing) - Of(echo), "a guest on a null disk, minus the bare virtqueue"),
                    new HopShare("copy of 4 KiB", Of(memory) - Of(nothing), "memory disk, minus the null disk"),
                    new HopShare("file in the page cache", Of(file) - Of(memory), "file, minus the memory disk"))),
                new HopBreakdown("trap", whole, InOrder(
                    new HopShare($"{AllExits} VM exits: guest, hypervisor, guest", AllExits * exit, $"{AllExits} × a hypercall that the hypervisor answers itself"),
                    new HopShare($"{RegisterExits} of them: hypervisor, VM-H, hypervisor", RegisterExits * (access - exit), $"{RegisterExits} × (a register read that VM-H answers, minus a hypercall)"),
                    new HopShare("command in VM-H, disk, interrupt, wake-ups", whole - (AllExits * exit) - (RegisterExits * (access - exit)), "a whole request on the trap path, minus its VM exits"))),
            ],
        };
    }

    // A negative difference is noise: the part is too small to measure.
    private static IReadOnlyList<HopShare> InOrder(params HopShare[] hops) => [.. hops.Select(static hop => hop with { Microseconds = Math.Max(0, hop.Microseconds) })];
}
