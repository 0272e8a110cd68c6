using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>Sequential reads of a file in the page cache over block size: a curve without targets.</summary>
internal sealed class BlockCurveRow() : Row("blocks", "sequential reads over block size, depth 4")
{
    private const int Depth = 4;

    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        await using var rig = new Rig(session);
        int[] blocks = session.Options.Quick ? [4 << 10, 1 << 20] : [512, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];
        List<(string Subject, BusGuest Guest)> rings = [("VM-H file", await rig.HostAsync(rig.CachedFile, "VM-H"))];
        rings.AddRange((await rig.StorageDaemonsAsync(rig.CachedFile)).Take(2).TakeLast(1).Select(static one => ("qsd file, io_uring", one.Guest)));
        var file = rig.OpenFile();
        Contestant[] contestants =
        [
            .. rings.SelectMany(ring => blocks.Select(block => RingContestant.Of(session, ring.Subject, ring.Guest, new Workload("read", block, Depth)))),
            .. blocks.Select(block => PreadContestant.Of(session, file, block, "read")),
        ];
        return Result(await Rounds.RunAsync(session, contestants, session.Options.CurveRounds, session.Options.ShortWarmUp), []);
    }
}
