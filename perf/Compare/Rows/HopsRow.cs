using VmShunt.Perf.Bench.Ends;
using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Sitting;
using VmShunt.Perf.Measure;
using VmShunt.Perf.Report;
using VmShunt.Trap.VmExit;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>
/// Where a request's time goes on each road at depth 1, from differences of things that can really be measured alone:
/// every step adds one part to the step before it.
/// </summary>
internal sealed class HopsRow() : Row("hops", "where the microseconds go, 4 KiB, depth 1")
{
    // Of a read by the trap: one exit to issue it, five in the interrupt handler, and one hlt, that the hypervisor answers
    // alone. The launch counts them (trapsPerRequest).
    private const int RegisterExits = 6;

    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        await using var rig = new Rig(session);
        var workload = new Workload("randread", 4096, 1);
        EchoContestant echo = rig.Hold(new EchoContestant(session, VirtqueueFormat.Packed));
        RingContestant
            nothing = RingContestant.Of(session, "VM-H null", await rig.HostAsync(rig.NullDisk, "VM-H"), workload),
            memory = RingContestant.Of(session, "VM-H memory", await rig.HostAsync(rig.MemoryDisk, "VM-H"), workload),
            file = RingContestant.Of(session, "VM-H file", await rig.HostAsync(rig.CachedFile, "VM-H"), workload);
        // The booted guest's servers too, so that exits and whole requests meet the same processes.
        var machine = await rig.MachineAsync(DiskPath.Mode(DiskPath.Trap));
        PathContestant trap = PathContestant.Of(session, DiskPath.Trap, machine, workload);
        var processor = rig.Hold(GuestPartition.Create(machine.HypervisorSocket, 16 << 20, 1)).StartProcessor(0);
        ExitContestant hypercall = new(session, machine, processor, register: false), register = new(session, machine, processor, register: true);
        var rounds = await Rounds.RunAsync(session, [echo, nothing, memory, file, hypercall, register, trap]);

        double Of(Contestant one) => rounds.Of(one).Of(Time).Median / 1000;
        var line = rounds.Yardstick(Calibration.PingPong).Nanoseconds.Median / 1000;
        double exit = Of(hypercall), access = Of(register), whole = Of(trap);
        return Result(rounds, []) with
        {
            Hops =
            [
                new HopBreakdown("ring", Of(file), InOrder(
                    new HopShare("cache line there and back", line, Calibration.PingPong),
                    new HopShare("ring: add, publish, take, return, reap", Of(echo) - line, "bare ring between two processes, less the cache line"),
                    new HopShare("guest's stack, virtio-blk device", Of(nothing) - Of(echo), "a guest on a null disk, less the bare ring"),
                    new HopShare("copy of 4 KiB", Of(memory) - Of(nothing), "memory disk, less the null disk"),
                    new HopShare("file in the page cache", Of(file) - Of(memory), "file, less the memory disk"))),
                new HopBreakdown("trap", whole, InOrder(
                    new HopShare("7 exits: guest to hypervisor and back", 7 * exit, "7 × a hypercall that the hypervisor answers itself"),
                    new HopShare("6 of them on to VM-H and back", RegisterExits * (access - exit), "6 × (a register that VM-H answers, less the hypercall)"),
                    new HopShare("command in VM-H, disk, interrupt, wake-ups", whole - (7 * exit) - (RegisterExits * (access - exit)), "a whole request by the trap, less its exits"))),
            ],
        };
    }

    // Where noise makes a difference negative, the part is too small to be seen.
    private static IReadOnlyList<HopShare> InOrder(params HopShare[] hops) => [.. hops.Select(static hop => hop with { Microseconds = Math.Max(0, hop.Microseconds) })];
}
