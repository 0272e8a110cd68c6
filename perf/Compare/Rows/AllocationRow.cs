using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Sitting;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>
/// Managed bytes that a request allocates in each process, on every path, at depth 1 and 32: what a long run allocates
/// more than a short one, by the requests that it does more. What a command costs whatever its length falls out.
/// </summary>
internal sealed class AllocationRow() : Row("allocation", "bytes allocated a request")
{
    // The runtime counts in pieces of 8 KiB a thread. Thousands of requests that allocated would be far more than a few of
    // them, the smallest object being 24 bytes.
    private const double Untold = 4 * 8192;

    private static readonly Target s_none = Target.AtMost(0, "B");

    private const int IdleReports = 3;

    // Now and then a runtime allocates for itself; what requests allocate is there each time.
    private const int Attempts = 3;

    private const string Note = "the least of up to three times; the runtimes count in pieces of 8 KiB a thread: less than four pieces in all the requests is taken for none; an object each would be 24 B or more";

    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        var watch = new ForeignCpu();
        var verdicts = new List<Verdict>();
        (Func<Rig, Disk> Disk, string Name)[] disks =
            [(static rig => rig.MemoryDisk, "memory"), (static rig => rig.CachedFile, "file"), (static rig => rig.DirectFile, "O_DIRECT")];
        string[] paths = [DiskPath.Shunted, DiskPath.Trap, DiskPath.Alternate];
        var take = session.Options.Quick ? 1 : disks.Length;
        foreach (var (disk, name) in disks[..take])
        {
            await using var rig = new Rig(session);
            var backEnd = (await rig.HostAsync(disk(rig), "VM-H")).BackEnd;
            var guest = (await rig.CrowdAsync(backEnd, 1))[0];
            var sectors = new SectorRange(0, backEnd.Disk.Bytes / 512);
            await MeasureAsync(session, verdicts, $"ring, {name}", [("guest", guest.ProcessId), ("VM-H", backEnd.ProcessId)], (workload, time) => guest.BenchAsync(workload.BusCommand(time, sectors), time));
        }
        foreach (var path in paths[..take])
        {
            await using var rig = new Rig(session);
            var machine = await rig.MachineAsync(DiskPath.Mode(path));
            await MeasureAsync(
                session, verdicts, path, [("guest", machine.Guest), ("VM-H", machine.Host), ("hypervisor", machine.Hypervisor)],
                (workload, time) => machine.BenchAsync(workload.Command(DiskPath.Stack(path), time, machine.Data), time));
        }
        return new RowResult(Id, Title, [], [], verdicts) { ForeignCpu = watch.Share() };
    }

    private async Task MeasureAsync(
        CompareSession session, List<Verdict> verdicts, string path, (string Name, int Id)[] processes, Func<Workload, TimeSpan, Task<BenchAnswer>> bench)
    {
        var counters = processes.Select(static process => new AllocationCounter(process.Id)).ToArray();
        try
        {
            var most = 0.0;
            var notes = new List<string>();
            foreach (var depth in session.Options.Quick ? new[] { 32 } : [1, 32])
            {
                var workload = new Workload("randread", 4096, depth);
                // Compiling allocates; so does the first use of anything.
                _ = await bench(workload, session.Options.WarmUp);
                var (each, requests) = await LeastAsync(session, counters, duration => bench(workload, duration));
                most = Math.Max(most, each.Max());
                notes.Add($"{path}, depth {depth}, {requests:N0} requests: {string.Join(", ", processes.Zip(each, static (process, bytes) => $"{process.Name} {Verdict.Number(bytes)} B"))}");
            }
            verdicts.Add(new Verdict(
                $"{Id}.{path}", $"{Title}: {path}", string.Join(", ", processes.Select(static process => process.Name)), s_none, new Spread(most, most, most), [Note, .. notes]));
        }
        finally
        {
            foreach (var counter in counters) counter.Dispose();
        }
    }

    // Of each process, a request; and how many requests that was measured with.
    private static async Task<(double[] Each, long Requests)> LeastAsync(CompareSession session, AllocationCounter[] counters, Func<TimeSpan, Task<BenchAnswer>> bench)
    {
        double[] each = [.. counters.Select(static _ => double.MaxValue)];
        long requests = 0;
        for (var attempt = 0; attempt < Attempts && each.Any(static bytes => bytes > 0); attempt++)
        {
            var few = await CountAsync(session, counters, () => bench(session.Options.Turn));
            var many = await CountAsync(session, counters, () => bench(session.Options.Turn * 5));
            requests = many.Requests - few.Requests;
            for (var i = 0; i < each.Length; i++) each[i] = Math.Min(each[i], Told(many.Bytes[i] - few.Bytes[i]) / Math.Max(1, requests));
        }
        return (each, requests);
    }

    // Between idle reports, so that all that was allocated meanwhile is in; what reporting itself allocates is taken off.
    private static async Task<(double[] Bytes, long Requests)> CountAsync(CompareSession session, AllocationCounter[] counters, Func<Task<BenchAnswer>> bench)
    {
        // The report that is due may hold what was before.
        _ = await NextAsync(session, counters, 2);
        var idle = await NextAsync(session, counters, IdleReports);
        var answer = await bench();
        var busy = await NextAsync(session, counters, 2);
        double[] sums = [.. busy.Zip(idle, static (all, still) => all.Bytes - (still.Bytes / still.Reports * all.Reports))];
        return (sums, answer.Requests);
    }

    private static double Told(double bytes) => bytes <= Untold ? 0 : bytes;

    private static Task<(double Bytes, int Reports)[]> NextAsync(CompareSession session, AllocationCounter[] counters, int reports) =>
        Task.WhenAll(counters.Select(counter => counter.NextAsync(reports, session.Cancel)));
}
