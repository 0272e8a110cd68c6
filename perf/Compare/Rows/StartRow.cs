using System.Diagnostics;
using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>From the start of the three processes, on an existing disk, to the completion of the first request on the ring.</summary>
internal sealed class StartRow() : Row("start", "start of the three processes to the first request on the ring")
{
    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        _ = session.BootDisk;
        List<double> seconds = [], foreign = [];
        for (var round = 0; round < (session.Options.Quick ? 1 : 5); round++)
        {
            var watch = new ForeignCpu();
            var start = Stopwatch.GetTimestamp();
            await using var machine = await BootedMachine.BootAsync(session, DiskPath.Mode(DiskPath.Ring));
            _ = await machine.BenchAsync($"bench --stack {DiskPath.Stack(DiskPath.Ring)} --operation randread --requests 1", default);
            seconds.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            foreign.Add(watch.Share());
        }
        return new RowResult(Id, Title, [], [], [new Verdict($"{Id}.seconds", Title, "includes the boot on the trap path", Target.AtMost(1, "s"), Spread.Of(seconds), [])])
        {
            ForeignCpu = ForeignCpu.Of(foreign),
        };
    }
}
