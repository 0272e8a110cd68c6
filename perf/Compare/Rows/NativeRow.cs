using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>The native VM-H, which is what a user installs, vs the one that the JIT compiles: memory, and a file in the page cache.</summary>
internal sealed class NativeRow() : Row("native", "native VM-H, 4 KiB random read")
{
    internal const string Missing = "no native program: dotnet build packaging -c Release -t:Native, or --native FILE";

    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        if (session.Options.NativeHost is not { } program)
            return new RowResult(Id, Title, [], [], [new Verdict($"{Id}.memory-1", $"{Title}: requests per second", "VM-H", null, null, [Missing])]) { ForeignCpu = ForeignCpu.Of([]) };
        await using var rig = new Rig(session);
        var pairs = new List<(string Id, string Work, RingContestant Native, RingContestant Jit)>();
        foreach (var (medium, disk) in new[] { ("memory", rig.MemoryDisk), ("file", rig.CachedFile) })
        {
            var jit = await rig.HostAsync(disk, $"VM-H {medium}", guestOptions: ["--ring", "packed"]);
            var native = await rig.HostAsync(disk, $"native VM-H {medium}", program: program, guestOptions: ["--ring", "packed"]);
            pairs.Add(($"{medium}-32", $"{medium}, depth 32", Of(session, native, 32), Of(session, jit, 32)));
            pairs.Add((
                $"{medium}-1", $"{medium}, depth 1",
                Of(session, await rig.CallerAsync(native.BackEnd, "--ring", "packed"), 1), Of(session, await rig.CallerAsync(jit.BackEnd, "--ring", "packed"), 1)));
        }
        var rounds = await Rounds.RunAsync(session, [.. pairs.SelectMany(static pair => new[] { pair.Native, pair.Jit })]);
        return Result(rounds, [.. pairs.Select(pair => WithTarget(
            pair.Id, $"{Title}, {pair.Work}: requests per second", Target.AtLeast(0.97), rounds.Of(pair.Native), rounds.Of(pair.Jit), Iops, "VM-H") with
        {
            Notes = ["0.97 means equal within noise"],
        })]);
    }

    private static RingContestant Of(CompareSession session, BusGuest guest, int depth) =>
        RingContestant.Of(session, guest.BackEnd.Subject, guest, new Workload("randread", 4096, depth) { Polled = depth == 1 });
}
