using System.Diagnostics;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>The CPU time of the three processes in the second that starts 100 ms after the last request.</summary>
internal sealed class IdleRow() : Row("idle", "idle CPU time: VM-H, hypervisor and VM-C together")
{
    private static readonly TimeSpan s_after = TimeSpan.FromMilliseconds(100), s_second = TimeSpan.FromSeconds(1);

    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        await using var rig = new Rig(session);
        var machine = await rig.MachineAsync(DiskPath.Mode(DiskPath.Ring));
        var workload = new Workload("randread", 4096, 32);
        List<double> shares = [], foreign = [];
        for (var round = 0; round < (session.Options.Quick ? 1 : 4); round++)
        {
            _ = await machine.BenchAsync(workload.Command(DiskPath.Stack(DiskPath.Ring), session.Options.WarmUp, machine.Data), session.Options.WarmUp);
            await Task.Delay(s_after, session.Cancel);
            var watch = new ForeignCpu();
            long start = Stopwatch.GetTimestamp(), before = Cpu();
            await Task.Delay(s_second, session.Cancel);
            shares.Add((Cpu() - before) / Stopwatch.GetElapsedTime(start).TotalNanoseconds * 100);
            foreign.Add(watch.Share());
        }
        return new RowResult(Id, Title, [], [], [new Verdict($"{Id}.core", Title, "the second that starts 100 ms after the last request", Target.AtMost(1, "% of a core"), Spread.Of(shares), [])])
        {
            ForeignCpu = ForeignCpu.Of(foreign),
        };

        long Cpu() => ProcessorTime.Of(machine.Host) + ProcessorTime.Of(machine.Hypervisor) + ProcessorTime.Of(machine.Guest);
    }
}
