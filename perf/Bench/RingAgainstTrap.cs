using BenchmarkDotNet.Attributes;
using VmShunt.Perf.Bench.Counters;
using VmShunt.Perf.Bench.Ends;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Bench;

/// <summary>
/// A random read of 4 KiB in a real guest of three processes: by trap, shunted, and on the ring. One operation is one
/// request; the guest's console is asked for thousands at once, so that its own round trip does not count.
/// </summary>
/// <remarks>The requests run in other processes, so allocation is what the guest says of itself, not a diagnoser's.</remarks>
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
        RequestCounters.Report("Kicks", _kicks / _requests, "Times per request that the guest had to signal VM-H");
        RequestCounters.Report("Calls", _calls / _requests, "Times per request that VM-H had to signal the guest");
        RequestCounters.Report("Guest B", _last!.AllocatedBytesPerRequest, "Managed bytes per request that the guest allocated, in its own count");
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
