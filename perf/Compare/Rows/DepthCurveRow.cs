using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>Random reads of 4 KiB over queue depth, on every path and peer: a curve without targets.</summary>
internal sealed class DepthCurveRow() : Row("depths", "4 KiB random reads over depth")
{
    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        await using var rig = new Rig(session);
        int[] depths = session.Options.Quick ? [1, 32] : [1, 2, 4, 8, 16, 32, 64, 128];
        List<(string Subject, BusGuest Guest)> rings =
        [
            ("VM-H memory", await rig.HostAsync(rig.MemoryDisk, "VM-H")),
            ("VM-H file", await rig.HostAsync(rig.CachedFile, "VM-H")),
        ];
        // For each peer the engine that is usually its fastest.
        rings.AddRange((await rig.StorageDaemonsAsync(rig.NullDisk)).Take(1));
        rings.AddRange((await rig.StorageDaemonsAsync(rig.CachedFile)).Take(2).TakeLast(1).Select(static one => ("qsd file, io_uring", one.Guest)));
        var machine = await rig.MachineAsync(DiskPath.Mode(DiskPath.Trap));
        Contestant[] contestants =
        [
            .. rings.SelectMany(ring => depths.Select(depth => RingContestant.Of(session, ring.Subject, ring.Guest, new Workload("randread", 4096, depth)))),
            .. depths.Where(static depth => depth <= 32).Select(depth => PathContestant.Of(session, DiskPath.Trap, machine, new Workload("randread", 4096, depth))),
            PreadContestant.Of(session, rig.OpenFile(), 4096, "randread"),
        ];
        return Result(await Rounds.RunAsync(session, contestants, session.Options.CurveRounds, session.Options.ShortWarmUp), []);
    }
}
