namespace VmShunt.Perf.Launch.Model;

/// <summary>One workload on one path. The properties are the JSON keys of <c>launch --json</c>.</summary>
internal sealed record PathResult(
    string Path, string Operation, int BlockSize, int QueueDepth, long Requests, double Iops, double MegabytesPerSecond,
    double P50Microseconds, double P99Microseconds, double P999Microseconds, double MaxMicroseconds,
    double TrapsPerRequest, double KicksPerRequest, double CallsPerRequest, double CopiesPerRequest, double AllocatedBytesPerRequest,
    double GuestCpuMicrosecondsPerRequest, double HostCpuMicrosecondsPerRequest, double HypervisorCpuMicrosecondsPerRequest)
{
    /// <summary>Rounds to ten-thousandths: one trap in 10,000 requests must stay visible.</summary>
    internal static double Round(double value) => Math.Round(value, 4);
}
