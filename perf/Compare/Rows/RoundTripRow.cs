using VmShunt.BlockDriver;
using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>The round trip of one request between two processes on the bare virtqueue, vs that of one cache line.</summary>
internal sealed class RoundTripRow() : Row("roundtrip", "ring round trip, two processes, depth 1")
{
    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        await using var rig = new Rig(session);
        EchoContestant packed = rig.Hold(new EchoContestant(session, RingLayout.Packed)), split = rig.Hold(new EchoContestant(session, RingLayout.Split));
        var rounds = await Rounds.RunAsync(session, [packed, split]);
        var line = rounds.Yardstick(Calibration.PingPong);
        Verdict Against(string id, EchoContestant ring) =>
            new($"{Id}.{id}", $"{Title}, {id} ring", line.Name, Target.AtMost(1.5), Ratio.Of(rounds.Of(ring), line), []);
        return Result(rounds, Against("packed", packed), Against("split", split));
    }
}
