using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Sitting;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>
/// In a machine of three processes: requests of the emulating stack that are shunted, against the enlightened stack's, at
/// each depth. Beside them, told and not judged, how much faster the ring is than the trap.
/// </summary>
internal sealed class ShuntRow() : Row("shunt", "shunted against ring, three processes")
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
        // The trap has one command list: more in flight than it has slots tells nothing new.
        var traps = pairs.Where(static pair => pair.Ring.Inputs.Depth is 1 or 32)
            .Select(pair => (pair.Ring, Trap: PathContestant.Of(session, DiskPath.Trap, machine, new Workload("randread", 4096, pair.Ring.Inputs.Depth), turn))).ToArray();
        var rounds = await Rounds.RunAsync(session, [.. pairs.SelectMany(static pair => new[] { pair.Shunted, pair.Ring }), .. traps.Select(static pair => pair.Trap)], rounds: session.Options.PairRounds, turn: turn);
        return Result(
            rounds,
            [
                .. pairs.Select(pair => Judge(
                    $"{pair.Ring.Inputs.Depth}", $"{Title}, 4 KiB random read, depth {pair.Ring.Inputs.Depth}: time a request",
                    Target.AtMost(1.05), rounds.Of(pair.Shunted), rounds.Of(pair.Ring), Time, DiskPath.Ring)),
                .. traps.Select(pair => new Verdict(
                    $"{Id}.trap-{pair.Ring.Inputs.Depth}", $"ring against trap, three processes, 4 KiB random read, depth {pair.Ring.Inputs.Depth}: requests a second",
                    DiskPath.Trap, null, Ratio.Of(rounds.Of(pair.Ring), rounds.Of(pair.Trap), Iops), [])),
            ]);
    }
}
