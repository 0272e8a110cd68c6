using BenchmarkDotNet.Attributes;
using VmShunt.Perf.Bench.Counters;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Bench;

/// <summary>
/// A random 4 KiB read of a real guest (three processes) on the trap path, shunted, and on the ring. One operation is one
/// request; one console command runs thousands of them, so that its round trip does not count.
/// </summary>
/// <remarks>The requests run in other processes, so the allocated bytes are the guest's own count.</remarks>
public class RingAgainstTrap
{
    private const int TrapRequests = 512, RingRequests = 16384;

    private BenchMachine _machine = null!;
    private BenchAnswer? _last;
    private long _requests, _exitsBefore;
    private double _kicks, _calls;

    /// <summary>Requests in flight.</summary>
    [Params(1, 32)]
    public int QueueDepth { get; set; }

    [GlobalSetup(Target = nameof(Trap))]
    public void StartTrap() => Start(DiskPath.Trap, TrapRequests);

    [GlobalSetup(Target = nameof(Shunted))]
    public void StartShunted() => Start(DiskPath.Shunted, RingRequests);

    [GlobalSetup(Target = nameof(Ring))]
    public void StartRing() => Start(DiskPath.Ring, RingRequests);

    [GlobalCleanup]
    public void Cleanup()
    {
        RequestCounters.Report("Traps", (double)(_machine.Exits - _exitsBefore) / _requests, "VM exits per request, counted by the hypervisor");
        RequestCounters.Report("Kicks", _kicks / _requests, "Kicks per request: eventfd notifications from the guest to VM-H");
        RequestCounters.Report("Calls", _calls / _requests, "Calls per request: eventfd notifications from VM-H to the guest");
        RequestCounters.Report("Guest B", _last!.AllocatedBytesPerRequest, "Managed bytes per request allocated by the guest, by its own count");
        _machine.Dispose();
    }

    [Benchmark(Baseline = true, OperationsPerInvoke = TrapRequests)]
    public void Trap() => Read(DiskPath.Trap, TrapRequests);

    [Benchmark(OperationsPerInvoke = RingRequests)]
    public void Shunted() => Read(DiskPath.Shunted, RingRequests);

    [Benchmark(OperationsPerInvoke = RingRequests)]
    public void Ring() => Read(DiskPath.Ring, RingRequests);

    private void Start(string path, int warmUp)
    {
        _machine = BenchMachine.Start(path);
        _machine.Read(path, QueueDepth, warmUp);
        (_requests, _kicks, _calls) = (0, 0, 0);
        _exitsBefore = _machine.Exits;
    }

    private void Read(string path, int requests)
    {
        _last = _machine.Read(path, QueueDepth, requests);
        _requests += requests;
        _kicks += _last.KicksPerRequest * requests;
        _calls += _last.CallsPerRequest * requests;
    }
}
