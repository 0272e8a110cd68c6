using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Launch.Model;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Contestants;

/// <summary>
/// <c>pread</c> of the file on a thread of this process: no VM, no ring, no queue. One thread, because a ring has one device
/// thread too.
/// </summary>
internal sealed class PreadContestant(string subject, DirectPath path, Workload workload, Inputs inputs) : Contestant(subject, inputs)
{
    internal const string Name = "pread in process";

    /// <summary>Inputs in which a ratio with it may differ.</summary>
    internal static IReadOnlyList<Allowance> Allowed { get; } =
    [
        new(nameof(Inputs.Generator), "pread is called in process: no front-end, no queue"),
        new(nameof(Inputs.Depth), "pread does not queue: its depth is 1"),
    ];

    internal static PreadContestant Of(CompareSession session, DirectPath path, int blockBytes, string operation)
    {
        var workload = new Workload(operation, blockBytes, 1);
        return new PreadContestant(Name, path, workload, RingContestant.Given(session, new BackEndDisk(BackEndDisk.PageCache, "noise", session.Options.DiskBytes), workload, session.WholeDisk) with
        {
            Generator = "a thread of this process",
        });
    }

    internal override Task<Sample> MeasureAsync(TimeSpan duration) => Task.Run(() =>
    {
        PathResult result = path.Measure(workload, duration);
        return new Sample(result.Iops, result.P50Microseconds, result.P99Microseconds, result.P999Microseconds, result.GuestCpuMicrosecondsPerRequest, 0, 0);
    });
}
