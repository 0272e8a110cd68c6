using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Contestants;

/// <summary>io_uring reads of the file on a thread of this process: no VM, no ring, no back-end.</summary>
internal sealed class UringContestant(UringPath path, Inputs inputs) : Contestant(Name, inputs)
{
    internal const string Name = "io_uring in process";

    internal static IReadOnlyList<Allowance> Allowed { get; } =
        [new(nameof(Inputs.Generator), "io_uring is called in process: no guest, no ring, one thread for both ends")];

    internal static UringContestant Of(CompareSession session, UringPath path, BackEndDisk disk, Workload workload) => new(
        path,
        RingContestant.Given(session, disk, workload, session.WholeDisk) with { Generator = "a thread of this process, io_uring" });

    internal override Task<Sample> MeasureAsync(TimeSpan duration) => Task.Run(() =>
    {
        var (requests, seconds, latencies, cpu) = path.Measure(duration);
        return new Sample(
            requests / seconds, latencies.PercentileMicroseconds(0.5), latencies.PercentileMicroseconds(0.99), latencies.PercentileMicroseconds(0.999),
            cpu / 1000.0 / requests, 0, 0);
    });
}
