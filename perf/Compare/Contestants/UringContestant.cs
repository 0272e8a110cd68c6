using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Rows;
using VmShunt.Perf.Compare.Sitting;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Contestants;

/// <summary>io_uring of the file by a thread of this process: no machine, no ring, no other end.</summary>
internal sealed class UringContestant(UringPath path, Inputs inputs) : Contestant(Name, inputs)
{
    internal const string Name = "io_uring in process";

    internal static IReadOnlyList<Allowance> Allowed { get; } =
        [new(nameof(Inputs.Generator), "io_uring is called in process: no guest, no ring, one thread for both ends")];

    internal static UringContestant Of(CompareSession session, Rig rig, Disk disk, Workload workload) => new(
        rig.Hold(new UringPath(session.DiskFile, disk.Medium == Disk.Direct, workload, disk.Bytes)),
        RingContestant.Given(session, disk, workload, session.WholeDisk) with { Generator = "a thread of this process, io_uring" });

    internal override Task<Sample> MeasureAsync(TimeSpan duration) => Task.Run(() =>
    {
        var (requests, seconds, latencies, cpu) = path.Measure(duration);
        return new Sample(
            requests / seconds, latencies.PercentileMicroseconds(0.5), latencies.PercentileMicroseconds(0.99), latencies.PercentileMicroseconds(0.999),
            cpu / 1000.0 / requests, 0, 0);
    });
}
