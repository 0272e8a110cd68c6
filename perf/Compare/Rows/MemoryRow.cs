using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>
/// VM-H's memory disk, packed and split, vs the null disk of qemu-storage-daemon. At depth 1 the target is for the polled
/// call; asynchronous requests are measured too.
/// </summary>
internal sealed class MemoryRow(int depth) : Row($"memory-{depth}", $"memory disk, 4 KiB random read, depth {depth}")
{
    private const string Packed = "VM-H memory, packed", Split = "VM-H memory, split", Polled = "VM-H memory, polled call";

    private static readonly Allowance[] s_null =
    [
        new(nameof(Inputs.Medium), "null-co moves no data, which favours it"),
        new(nameof(Inputs.Content), "null-co has no content"),
        RingContestant.PolledAllowed,
    ];

    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        await using var rig = new Rig(session);
        var workload = new Workload("randread", 4096, depth);
        var guest = await rig.HostAsync(rig.MemoryDisk, "VM-H", guestOptions: ["--ring", "packed"]);
        RingContestant packed = RingContestant.Of(session, Packed, guest, workload);
        RingContestant split = RingContestant.Of(session, Split, await rig.GuestAsync(guest.BackEnd, "--ring", "split"), workload);
        Contestant[] peers = [.. (await rig.StorageDaemonsAsync(rig.NullDisk)).Select(peer => RingContestant.Of(session, peer.Subject, peer.Guest, workload))];
        RingContestant? polled = depth > 1 ? null : RingContestant.Of(session, Polled, await rig.CallerAsync(guest.BackEnd, "--ring", "packed"), workload with { Polled = true });
        var rounds = await Rounds.RunAsync(session, [.. polled is null ? Array.Empty<Contestant>() : [polled], packed, split, .. peers]);

        var ours = rounds.Of(polled ?? packed);
        var best = peers.Length == 0 ? null : Best(peers.Select(rounds.Of));
        var verdicts = new List<Verdict> { WithTarget("qsd", $"{Title}: requests per second", Target.AtLeast(depth == 1 ? 4 : 3), ours, best, Iops, "qsd null-co", s_null) };
        if (depth == 1)
        {
            Yardstick line = rounds.Yardstick(Calibration.PingPong), copy = rounds.Yardstick(Calibration.DiskCopy);
            verdicts.Add(new Verdict($"{Id}.limit", $"{Title}: time per request", $"{line.Name} + {copy.Name}", Target.AtMost(2), Ratio.Of(ours, line, copy), []));
            verdicts.Add(WithoutTarget("polled", $"{Title}: time of a polled call vs an asynchronous request", Better.Lower, ours, rounds.Of(packed), Time, RingContestant.PolledAllowed));
        }
        else
        {
            verdicts.Add(WithTarget("packed", $"{Title}: requests per second, packed vs split", Target.AtLeast(0.97), ours, rounds.Of(split), Iops, Split) with
            {
                Notes = ["0.97 means equal within noise"],
            });
        }
        return Result(rounds, verdicts);
    }
}
