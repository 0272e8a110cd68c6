using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>Sequential reads of a file in the page cache, 1 MiB per request, vs <c>pread</c> in process.</summary>
internal sealed class SequentialRow() : Row("sequential", "1 MiB sequential read, file in the page cache")
{
    private const int Block = 1 << 20, Depth = 4;

    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        await using var rig = new Rig(session);
        var workload = new Workload("read", Block, Depth);
        RingContestant file = RingContestant.Of(session, "VM-H file", await rig.HostAsync(rig.CachedFile, "VM-H"), workload);
        PreadContestant pread = PreadContestant.Of(session, rig.OpenFile(), Block, "read");
        var rounds = await Rounds.RunAsync(session, [file, pread]);
        return Result(
            rounds,
            WithTarget("pread", $"{Title}, depth {Depth}: requests per second", Target.AtLeast(0.95), rounds.Of(file), rounds.Of(pread), Iops, PreadContestant.Name, PreadContestant.Allowed));
    }
}
