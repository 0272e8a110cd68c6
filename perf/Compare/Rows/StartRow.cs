using System.Diagnostics;
using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Sitting;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>From the start of the first of three processes, on a disk that is there, to the first request that came back by the ring.</summary>
internal sealed class StartRow() : Row("start", "start: three processes to the first enlightened request")
{
    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        _ = session.BootDisk;
        List<double> seconds = [], foreign = [];
        for (var round = 0; round < (session.Options.Quick ? 1 : 5); round++)
        {
            var watch = new ForeignCpu();
            var start = Stopwatch.GetTimestamp();
            await using var machine = await Machine.BootAsync(session, DiskPath.Mode(DiskPath.Ring));
            _ = await machine.BenchAsync($"bench --stack {DiskPath.Stack(DiskPath.Ring)} --operation randread --requests 1", default);
            seconds.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            foreign.Add(watch.Share());
        }
        return new RowResult(Id, Title, [], [], [new Verdict($"{Id}.seconds", Title, "boot by the trap included", Target.AtMost(1, "s"), Spread.Of(seconds), [])])
        {
            ForeignCpu = Spread.Of(foreign).Upper,
        };
    }
}
