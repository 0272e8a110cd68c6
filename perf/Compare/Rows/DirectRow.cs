using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>A file opened with O_DIRECT, vs the engines of qemu-storage-daemon and vs fio on the bare file.</summary>
internal sealed class DirectRow() : Row("direct-32", "file with O_DIRECT, 4 KiB random read, depth 32")
{
    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        await using var rig = new Rig(session);
        var workload = new Workload("randread", 4096, 32);
        RingContestant file = RingContestant.Of(session, "VM-H O_DIRECT", await rig.HostAsync(rig.DirectFile, "VM-H"), workload);
        Contestant[] peers = [.. (await rig.StorageDaemonsAsync(rig.DirectFile)).Select(peer => RingContestant.Of(session, peer.Subject, peer.Guest, workload))];
        var fio = FioContestant.Find(session, rig.DirectFile, workload);
        UringContestant uring = UringContestant.Of(session, rig.OpenUring(rig.DirectFile, workload), rig.DirectFile, workload);
        var rounds = await Rounds.RunAsync(session, [file, .. peers, uring, .. fio is null ? (Contestant[])[] : [fio]]);

        var ours = rounds.Of(file);
        return Result(
            rounds,
            WithTarget("qsd", $"{Title}: requests per second", Target.AtLeast(1), ours, peers.Length == 0 ? null : Best(peers.Select(rounds.Of)), Iops, "qsd O_DIRECT"),
            WithTarget("fio", $"{Title}: requests per second", Target.AtLeast(0.9), ours, fio is null ? null : rounds.Of(fio), Iops, "fio io_uring", FioContestant.Allowed),
            WithoutTarget("uring", $"{Title}: requests per second", Better.Higher, ours, rounds.Of(uring), Iops, UringContestant.Allowed));
    }
}
