using BenchmarkDotNet.Attributes;
using VmShunt.Perf.Bench.Counters;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Bench;

/// <summary>
/// Every path of three real processes at several queue depths and block sizes. One operation is one random read; one
/// console command runs thousands of them.
/// </summary>
/// <remarks>The requests run in other processes, so the allocated bytes are the guest's own count.</remarks>
public class PathsAndSizes
{
    private const int Requests = 2048;

    private BenchMachine _machine = null!;
    private BenchAnswer? _last;
    private long _requests, _exitsBefore;

    /// <summary>The path.</summary>
    [Params(DiskPath.Trap, DiskPath.Alternate, DiskPath.Shunted, DiskPath.Ring)]
    public string Path { get; set; } = DiskPath.Ring;

    /// <summary>Requests in flight.</summary>
    [Params(1, 8, 32)]
    public int QueueDepth { get; set; }

    /// <summary>Bytes per request.</summary>
    [Params(512, 4 << 10, 64 << 10, 1 << 20)]
    public int BlockBytes { get; set; }

    [GlobalSetup]
    public void Start()
    {
        _machine = BenchMachine.Start(Path);
        _machine.Read(Path, QueueDepth, Requests, BlockBytes);
        _requests = 0;
        _exitsBefore = _machine.Exits;
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        RequestCounters.Report("Traps", (double)(_machine.Exits - _exitsBefore) / _requests, "VM exits per request, counted by the hypervisor");
        RequestCounters.Report("Guest B", _last!.AllocatedBytesPerRequest, "Managed bytes per request allocated by the guest, by its own count");
        RequestCounters.Report("MB/s", _last.MegabytesPerSecond, "Megabytes per second of the last operations");
        _machine.Dispose();
    }

    [Benchmark(OperationsPerInvoke = Requests)]
    public void Read()
    {
        _last = _machine.Read(Path, QueueDepth, Requests, BlockBytes);
        _requests += Requests;
    }
}
