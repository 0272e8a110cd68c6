using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>
/// A file in the page cache, vs the engines of qemu-storage-daemon and vs <c>pread</c> in process. At depth 1 the target is
/// for the polled call; the asynchronous request is measured too.
/// </summary>
internal sealed class PageCacheRow(int depth) : Row($"file-{depth}", $"file in the page cache, 4 KiB random read, depth {depth}")
{
    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        await using var rig = new Rig(session);
        var workload = new Workload("randread", 4096, depth);
        var guest = await rig.HostAsync(rig.CachedFile, "VM-H");
        RingContestant file = RingContestant.Of(session, "VM-H file", guest, workload);
        RingContestant? polled = depth > 1 ? null : RingContestant.Of(session, "VM-H file, polled call", await rig.CallerAsync(guest.BackEnd), workload with { Polled = true });
        Contestant[] peers = [.. (await rig.StorageDaemonsAsync(rig.CachedFile)).Select(peer => RingContestant.Of(session, peer.Subject, peer.Guest, workload))];
        PreadContestant pread = PreadContestant.Of(session, rig.OpenFile(), workload.BlockSize, workload.Operation);
        UringContestant uring = UringContestant.Of(session, rig.OpenUring(rig.CachedFile, workload), rig.CachedFile, workload);
        var rounds = await Rounds.RunAsync(session, [.. polled is null ? Array.Empty<Contestant>() : [polled], file, .. peers, pread, uring]);

        var ours = rounds.Of(polled ?? file);
        var best = peers.Length == 0 ? null : Best(peers.Select(rounds.Of));
        return Result(
            rounds,
            WithTarget("qsd", $"{Title}: requests per second", Target.AtLeast(3), ours, best, Iops, "qsd file", RingContestant.PolledAllowed),
            WithTarget("pread", $"{Title}: time per request", Target.AtMost(depth == 1 ? 1.3 : 1), ours, rounds.Of(pread), Time, PreadContestant.Name, PreadContestant.Allowed),
            WithoutTarget("uring", $"{Title}: time per request", Better.Lower, ours, rounds.Of(uring), Time, UringContestant.Allowed));
    }
}
