using VmShunt.Perf.Compare.Contestants;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>
/// Managed bytes allocated per request in each process, on every path, at depth 1 and 32: the difference between a long
/// and a short run, divided by the difference in requests, so that the fixed cost of a command cancels out.
/// </summary>
internal sealed class AllocationRow() : Row("allocation", "bytes allocated per request")
{
    // The runtime counts in units of 8 KiB per thread. Thousands of requests that allocate would use many more units, because
    // the smallest object has 24 bytes.
    private const double Negligible = 4 * 8192;

    private static readonly Target s_none = Target.AtMost(0, "B");

    private const int IdleReports = 3;

    // A runtime sometimes allocates for itself; what requests allocate appears in every attempt.
    private const int Attempts = 3;

    private const string Note = "the lowest of up to three attempts; the runtimes count in units of 8 KiB per thread, and fewer than four units over all requests count as 0 (one object per request would be at least 24 B)";

    internal override async Task<RowResult> RunAsync(CompareSession session)
    {
        var watch = new ForeignCpu();
        var verdicts = new List<Verdict>();
        (Func<Rig, BackEndDisk> Disk, string Name)[] disks =
            [(static rig => rig.MemoryDisk, "memory"), (static rig => rig.CachedFile, "file"), (static rig => rig.DirectFile, "O_DIRECT")];
        string[] paths = [DiskPath.Shunted, DiskPath.Trap, DiskPath.Alternate];
        var take = session.Options.Quick ? 1 : disks.Length;
        foreach (var (disk, name) in disks[..take])
        {
            await using var rig = new Rig(session);
            var backEnd = (await rig.HostAsync(disk(rig), "VM-H")).BackEnd;
            var guest = (await rig.ManyGuestsAsync(backEnd, 1))[0];
            var sectors = new SectorRange(0, backEnd.Disk.Bytes / 512);
            await MeasureAsync(session, verdicts, $"ring, {name}", [("VM-C", guest.ProcessId), ("VM-H", backEnd.ProcessId)], (workload, time) => guest.BenchAsync(workload.BusCommand(time, sectors), time));
        }
        foreach (var path in paths[..take])
        {
            await using var rig = new Rig(session);
            var machine = await rig.MachineAsync(DiskPath.Mode(path));
            await MeasureAsync(
                session, verdicts, path, [("VM-C", machine.Guest), ("VM-H", machine.Host), ("hypervisor", machine.Hypervisor)],
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
                // JIT compilation and first use allocate.
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

    // Bytes per request of each process, and the number of requests they were measured with.
    private static async Task<(double[] Each, long Requests)> LeastAsync(CompareSession session, AllocationCounter[] counters, Func<TimeSpan, Task<BenchAnswer>> bench)
    {
        double[] each = [.. counters.Select(static _ => double.MaxValue)];
        long requests = 0;
        for (var attempt = 0; attempt < Attempts && each.Any(static bytes => bytes > 0); attempt++)
        {
            var few = await CountAsync(session, counters, () => bench(session.Options.Turn));
            var many = await CountAsync(session, counters, () => bench(session.Options.Turn * 5));
            requests = many.Requests - few.Requests;
            for (var i = 0; i < each.Length; i++) each[i] = Math.Min(each[i], Counted(many.Bytes[i] - few.Bytes[i]) / Math.Max(1, requests));
        }
        return (each, requests);
    }

    // From one idle report to another, so that everything allocated in between counts; the allocation of the reports is subtracted.
    private static async Task<(double[] Bytes, long Requests)> CountAsync(CompareSession session, AllocationCounter[] counters, Func<Task<BenchAnswer>> bench)
    {
        // The pending report may contain earlier allocations.
        _ = await NextAsync(session, counters, 2);
        var idle = await NextAsync(session, counters, IdleReports);
        var answer = await bench();
        var busy = await NextAsync(session, counters, 2);
        double[] sums = [.. busy.Zip(idle, static (all, still) => all.Bytes - (still.Bytes / still.Reports * all.Reports))];
        return (sums, answer.Requests);
    }

    private static double Counted(double bytes) => bytes <= Negligible ? 0 : bytes;

    private static Task<(double Bytes, int Reports)[]> NextAsync(CompareSession session, AllocationCounter[] counters, int reports) =>
        Task.WhenAll(counters.Select(counter => counter.NextAsync(reports, session.Cancel)));
}
