using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Sitting;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>CPU time a request, guest and VM-H together, as more requests are in flight.</summary>
internal sealed class DepthCostRow() : Row("cost-depth", "CPU a request as depth grows, memory disk")
{
    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        await using var rig = new Rig(session);
        int[] depths = session.Options.Quick ? [1, 256] : [1, 4, 16, 64, 256];
        var guest = await rig.HostAsync(rig.MemoryDisk, "VM-H");
        RingContestant[] contestants = [.. depths.Select(depth => RingContestant.Of(session, "VM-H memory", guest, new Workload("randread", 4096, depth)))];
        var rounds = await Rounds.RunAsync(session, contestants);
        return Result(rounds, Judge(
            "256", $"{Title}: depth 256 by depth 1", Target.AtMost(1.05), rounds.Of(contestants[^1]), rounds.Of(contestants[0]), static sample => sample.Cpu, "",
            new Allowance(nameof(Inputs.Depth), "the depth is what grows")));
    }
}
