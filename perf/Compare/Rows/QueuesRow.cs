using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>
/// The same queue depth on one queue and on two. Each queue has a busy-polling thread in the guest and one in VM-H. Has no
/// target, because the result depends on the number of cores.
/// </summary>
internal sealed class QueuesRow() : Row("queues", "two queues vs one, memory disk, 4 KiB random read, depth 32 in total")
{
    private const int Threads = 4;

    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        await using var rig = new Rig(session);
        var workload = new Workload("randread", 4096, 32);
        // One VM-H for both, so that both read the same memory.
        var one = await rig.HostAsync(rig.MemoryDisk, "VM-H", hostOptions: ["--queues", "2"], guestOptions: ["--queues", "1"]);
        var two = await rig.GuestAsync(one.BackEnd, "--queues", "2");
        RingContestant single = Of(session, one, workload, 1), both = Of(session, two, workload, 2);
        var rounds = await Rounds.RunAsync(session, [single, both]);
        var ratio = Ratio.Of(rounds.Of(both), rounds.Of(single), Iops, new Allowance(nameof(Inputs.Queues), "the number of queues is what the row varies"));
        return Result(rounds, new Verdict($"{Id}.two", $"{Title}: requests per second", single.Subject, null, ratio, [Bound(Environment.ProcessorCount)]) { Better = Better.Higher });
    }

    /// <summary>Explains what limits the rate of two queues on the given number of cores.</summary>
    internal static string Bound(int cores) => cores < Threads
        ? $"two queues have {Threads} busy-polling threads, two in VM-C and two in VM-H; this machine has {cores} core{(cores == 1 ? "" : "s")}: one queue uses two already, so the cores are the limit"
        : $"the {Threads} busy-polling threads have {cores} cores, so the cores are not the limit; the queues share the memory that both copy from";

    private static RingContestant Of(CompareSession session, BusGuest guest, Workload workload, int queues)
    {
        var disk = guest.BackEnd.Disk;
        return new RingContestant(
            queues == 1 ? "VM-H memory, one queue" : $"VM-H memory, {queues} queues", guest, workload, session.WholeDisk,
            RingContestant.Given(session, disk, workload, session.WholeDisk) with { Queues = queues });
    }
}
