using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>
/// In a booted machine: shunted requests of the emulating stack vs requests of the enlightened stack, at each depth. Also,
/// without a target, the ring vs the trap path.
/// </summary>
internal sealed class ShuntRow() : Row("shunt", "shunted vs ring, three processes")
{
    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        await using var rig = new Rig(session);
        int[] depths = session.Options.Quick ? [1, 32] : [1, 8, 32, 128];
        var turn = session.Options.PairTurn;
        var machine = await rig.MachineAsync(DiskPath.Mode(DiskPath.Ring));
        var pairs = depths
            .Select(static depth => new Workload("randread", 4096, depth))
            .Select(workload => (Shunted: PathContestant.Of(session, DiskPath.Shunted, machine, workload, turn), Ring: PathContestant.Of(session, DiskPath.Ring, machine, workload, turn)))
            .ToArray();
        // The AHCI command list has 32 slots, so a higher depth would measure the same.
        var traps = pairs.Where(static pair => pair.Ring.Inputs.Depth is 1 or 32)
            .Select(pair => (pair.Ring, Trap: PathContestant.Of(session, DiskPath.Trap, machine, new Workload("randread", 4096, pair.Ring.Inputs.Depth), turn))).ToArray();
        var rounds = await Rounds.RunAsync(session, [.. pairs.SelectMany(static pair => new[] { pair.Shunted, pair.Ring }), .. traps.Select(static pair => pair.Trap)], rounds: session.Options.PairRounds, turn: turn);
        return Result(
            rounds,
            [
                .. pairs.Select(pair => WithTarget(
                    $"{pair.Ring.Inputs.Depth}", $"{Title}, 4 KiB random read, depth {pair.Ring.Inputs.Depth}: time per request",
                    Target.AtMost(1.05), rounds.Of(pair.Shunted), rounds.Of(pair.Ring), Time, DiskPath.Ring)),
                .. traps.Select(pair => new Verdict(
                    $"{Id}.trap-{pair.Ring.Inputs.Depth}", $"ring vs trap, three processes, 4 KiB random read, depth {pair.Ring.Inputs.Depth}: requests per second",
                    DiskPath.Trap, null, Ratio.Of(rounds.Of(pair.Ring), rounds.Of(pair.Trap), Iops), []) { Better = Better.Higher }),
            ]);
    }
}
