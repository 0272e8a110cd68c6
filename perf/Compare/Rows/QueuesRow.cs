using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Sitting;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>
/// The same requests in flight on one queue and on two, each queue with a thread of the guest and one of VM-H, which all
/// poll. Told, not judged: how far it goes depends on the cores.
/// </summary>
internal sealed class QueuesRow() : Row("queues", "two queues on two guest threads, memory disk, 4 KiB random read, depth 32 in all")
{
    private const int Threads = 4;

    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        await using var rig = new Rig(session);
        var workload = new Workload("randread", 4096, 32);
        // One VM-H, so one memory, for both.
        var one = await rig.HostAsync(rig.MemoryDisk, "VM-H", hostOptions: ["--queues", "2"], guestOptions: ["--queues", "1"]);
        var two = await rig.GuestAsync(one.BackEnd, "--queues", "2");
        RingContestant single = Of(session, one, workload, 1), both = Of(session, two, workload, 2);
        var rounds = await Rounds.RunAsync(session, [single, both]);
        var ratio = Ratio.Of(rounds.Of(both), rounds.Of(single), Iops, new Allowance(nameof(Inputs.Queues), "the number of queues is what grows"));
        return Result(rounds, new Verdict($"{Id}.two", Title, single.Subject, null, ratio, [Bound(Environment.ProcessorCount)]));
    }

    /// <summary>What bounds the rate of two queues on so many cores.</summary>
    internal static string Bound(int cores) => cores < Threads
        ? $"two queues are {Threads} threads that poll, two of the guest and two of VM-H, and this machine has {cores} core{(cores == 1 ? "" : "s")}: one queue takes two of them already, so the cores bound it"
        : $"the {Threads} threads that poll have {cores} cores, so the cores do not bound it: what is left is what the queues share, the memory that both copy from first of all";

    private static RingContestant Of(CompareSession session, BusGuest guest, Workload workload, int queues)
    {
        var disk = guest.BackEnd.Disk;
        return new RingContestant(
            queues == 1 ? "VM-H memory, one queue" : $"VM-H memory, {queues} queues", guest, workload, session.WholeDisk,
            RingContestant.Given(session, disk, workload, session.WholeDisk) with { Queues = queues });
    }
}
