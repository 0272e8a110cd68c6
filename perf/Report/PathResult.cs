using VmShunt.Perf.Launch;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Report;

/// <summary>One workload on one path.</summary>
internal sealed record PathResult(
    string Path, string Operation, int BlockSize, int QueueDepth, long Requests, double Iops, double MegabytesPerSecond,
    double P50Microseconds, double P99Microseconds, double P999Microseconds, double MaxMicroseconds,
    double TrapsPerRequest, double KicksPerRequest, double CallsPerRequest, double CopiesPerRequest, double AllocatedBytesPerRequest,
    double GuestCpuMicrosecondsPerRequest, double HostCpuMicrosecondsPerRequest, double HypervisorCpuMicrosecondsPerRequest)
{
    /// <summary>What a guest reported, with what the launcher saw of the other two processes meanwhile.</summary>
    internal static PathResult Guest(string path, Workload workload, BenchAnswer answer, long traps, long hostNanoseconds, long hypervisorNanoseconds)
    {
        double requests = Math.Max(1, answer.Requests);
        return new PathResult(
            path, workload.Operation, workload.BlockSize, workload.QueueDepth, answer.Requests, Round(answer.Iops), Round(answer.MegabytesPerSecond),
            Round(answer.P50Microseconds), Round(answer.P99Microseconds), Round(answer.P999Microseconds), Round(answer.MaxMicroseconds),
            Round(traps / requests), Round(answer.KicksPerRequest), Round(answer.CallsPerRequest), Round(answer.CopiesPerRequest),
            Round(answer.AllocatedBytesPerRequest), Round(answer.GuestCpuMicrosecondsPerRequest),
            Round(hostNanoseconds / requests / 1000), Round(hypervisorNanoseconds / requests / 1000));
    }

    /// <summary>What this process measured on the file itself; its own CPU time stands in the guest's column.</summary>
    internal static PathResult Direct(Workload workload, LatencyHistogram latencies, double seconds, long cpuNanoseconds, long allocatedBytes)
    {
        double requests = Math.Max(1, latencies.Count), iops = latencies.Count / seconds;
        return new PathResult(
            DiskPath.Direct, workload.Operation, workload.BlockSize, workload.QueueDepth, latencies.Count,
            Round(iops), Round(iops * workload.BlockSize / 1e6),
            Round(latencies.PercentileMicroseconds(0.5)), Round(latencies.PercentileMicroseconds(0.99)),
            Round(latencies.PercentileMicroseconds(0.999)), Round(latencies.MaxNanoseconds / 1000.0),
            0, 0, 0, 0, Round(allocatedBytes / requests), Round(cpuNanoseconds / requests / 1000), 0, 0);
    }

    internal bool IsOf(Workload workload) =>
        (Operation, BlockSize, QueueDepth) == (workload.Operation, workload.BlockSize, workload.QueueDepth);

    // Ten-thousandths: one trap in 10,000 requests must not vanish.
    private static double Round(double value) => Math.Round(value, 4);
}
