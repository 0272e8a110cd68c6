using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>CPU time per request, VM-C and VM-H together, as the queue depth grows.</summary>
internal sealed class DepthCostRow() : Row("cost-depth", "CPU time per request as depth grows, memory disk")
{
    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        await using var rig = new Rig(session);
        int[] depths = session.Options.Quick ? [1, 256] : [1, 4, 16, 64, 256];
        var guest = await rig.HostAsync(rig.MemoryDisk, "VM-H");
        RingContestant[] contestants = [.. depths.Select(depth => RingContestant.Of(session, "VM-H memory", guest, new Workload("randread", 4096, depth)))];
        var rounds = await Rounds.RunAsync(session, contestants);
        return Result(rounds, WithTarget(
            "256", $"{Title}: depth 256 vs depth 1", Target.AtMost(1.05), rounds.Of(contestants[^1]), rounds.Of(contestants[0]), static sample => sample.Cpu, "",
            new Allowance(nameof(Inputs.Depth), "the depth is what the row varies")));
    }
}
