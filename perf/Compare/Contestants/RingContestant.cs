using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Contestants;

/// <summary>A workload of a guest on the ring of a back-end.</summary>
internal sealed class RingContestant(string subject, BusGuest guest, Workload workload, SectorRange range, Inputs inputs) : Contestant(subject, inputs)
{
    // Inputs of earlier results have these values: compare OLD NEW matches on them.
    private const string Polling = "vmshunt-guest --poll busy", Calling = "vmshunt-guest, calls that poll";

    /// <summary>Why a polled call may be compared with a peer that the busy-polling guest measured.</summary>
    internal static Allowance PolledAllowed { get; } = new(
        nameof(Inputs.Generator), "VmShunt is measured with a polled call, which polls the ring on the calling thread and is part of what is measured; the peer is measured by the same guest with a busy-polling queue thread");

    /// <summary>One workload over a range of the back-end's disk.</summary>
    internal static RingContestant Of(CompareSession session, string subject, BusGuest guest, Workload workload, SectorRange? range = null)
    {
        var sectors = range ?? new SectorRange(0, guest.BackEnd.Disk.Bytes / 512);
        return new RingContestant(subject, guest, workload, sectors, Given(session, guest.BackEnd.Disk, workload, sectors));
    }

    internal static Inputs Given(CompareSession session, BackEndDisk disk, Workload workload, SectorRange range) => new()
    {
        Operation = workload.Operation,
        BlockBytes = workload.BlockSize,
        Depth = workload.QueueDepth,
        Medium = disk.Medium,
        Content = disk.Content,
        DiskBytes = disk.Bytes,
        RangeBytes = range.Count * 512,
        Generator = workload.Polled ? Calling : Polling,
        Seconds = session.Options.Turn.TotalSeconds,
    };

    internal override async Task<Sample> MeasureAsync(TimeSpan duration)
    {
        var host = ProcessorTime.Of(guest.BackEnd.ProcessId);
        var answer = await guest.BenchAsync(workload.BusCommand(duration, range), duration);
        host = ProcessorTime.Of(guest.BackEnd.ProcessId) - host;
        return SampleOf(answer, host, 0);
    }

    internal static Sample SampleOf(BenchAnswer answer, long hostNanoseconds, long hypervisorNanoseconds)
    {
        if (answer.Requests == 0) throw new LaunchException("no request completed during a measurement");
        double requests = answer.Requests;
        return new Sample(
            answer.Iops, answer.P50Microseconds, answer.P99Microseconds, answer.P999Microseconds,
            answer.GuestCpuMicrosecondsPerRequest, hostNanoseconds / requests / 1000, hypervisorNanoseconds / requests / 1000);
    }
}
