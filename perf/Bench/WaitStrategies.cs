using System.Diagnostics;
using BenchmarkDotNet.Attributes;
using VmShunt.Perf.Bench.Counters;
using VmShunt.Perf.Bench.Ends;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Perf.Bench;

/// <summary>
/// What each way of waiting makes of a round trip between two threads: both ends wait by the same policy and may wake
/// each other by eventfd. Once with requests at once after each other, once after a pause that is longer than the
/// adaptive waiter spins, so that the device sleeps.
/// </summary>
[MemoryDiagnoser]
public class WaitStrategies
{
    private const int RoundTrips = 256, Pauses = 64;

    private RingMemory _memory = null!;
    private Bell _bell = null!;
    private Peer _peer = null!;
    private DriverEnd _driver = null!;
    private long _requests, _kicksBefore, _sleepsBefore;

    /// <summary>How both ends wait.</summary>
    [Params(WaitPolicy.Busy, WaitPolicy.Adaptive, WaitPolicy.Never)]
    public WaitPolicy Policy { get; set; }

    /// <summary>Twice what the adaptive waiter spins.</summary>
    internal static TimeSpan Pause => SpinBudget.DefaultSpin * 2;

    [GlobalSetup]
    public void Setup()
    {
        _memory = RingMemory.Create(dataBytes: 4096);
        _bell = new Bell();
        var queue = _memory.SplitDriver(indirect: true, eventIndex: true);
        var device = _memory.SplitDevice(indirect: true, eventIndex: true);
        _peer = new ThreadPeer(stopping => EchoEnd.Serve(device, _bell, Policy, stopping), _bell.Kick.Signal);
        _driver = new DriverEnd<SplitDriverQueue>(queue, _bell, Policy, _peer.Gone);
        Tiering.Settle(AtOnce);
        (_requests, _kicksBefore, _sleepsBefore) = (0, _driver.Kicks, _driver.Sleeps);
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        RequestCounters.Report("Kicks", (double)(_driver.Kicks - _kicksBefore) / _requests, "Times per request that the driver had to signal the device");
        RequestCounters.Report("Sleeps", (double)(_driver.Sleeps - _sleepsBefore) / _requests, "Times per request that the driver slept until its completion");
        _peer.Dispose();
        _driver.Dispose();
        _bell.Dispose();
        _memory.Dispose();
    }

    [Benchmark(OperationsPerInvoke = RoundTrips)]
    public void AtOnce()
    {
        _driver.RoundTrips(RoundTrips);
        _requests += RoundTrips;
    }

    /// <summary>The mean contains the pause: 200 µs.</summary>
    [Benchmark(OperationsPerInvoke = Pauses)]
    public void AfterPause()
    {
        for (var i = 0; i < Pauses; i++)
        {
            var start = Stopwatch.GetTimestamp();
            while (Stopwatch.GetElapsedTime(start) < Pause) Thread.SpinWait(16);
            _driver.RoundTrips(1);
        }
        _requests += Pauses;
    }
}
