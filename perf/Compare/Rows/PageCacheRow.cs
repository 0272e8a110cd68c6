using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Sitting;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>
/// A file in the page cache: against qemu-storage-daemon's engines, and <c>pread</c> in process. At depth 1 the call that
/// polls is judged; the asynchronous request is measured beside it.
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
        UringContestant uring = UringContestant.Of(session, rig, rig.CachedFile, workload);
        var rounds = await Rounds.RunAsync(session, [.. polled is null ? Array.Empty<Contestant>() : [polled], file, .. peers, pread, uring]);

        var ours = rounds.Of(polled ?? file);
        var best = peers.Length == 0 ? null : Best(peers.Select(rounds.Of));
        return Result(
            rounds,
            Judge("qsd", Title, Target.AtLeast(3), ours, best, Iops, "qsd file", RingContestant.PolledAllowed),
            Judge("pread", $"{Title}: time a request", Target.AtMost(depth == 1 ? 1.3 : 1), ours, rounds.Of(pread), Time, PreadContestant.Name, PreadContestant.Allowed),
            Tell("uring", $"{Title}: time a request", ours, rounds.Of(uring), Time, UringContestant.Allowed));
    }
}
