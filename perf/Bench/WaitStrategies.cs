using System.Diagnostics;
using BenchmarkDotNet.Attributes;
using VmShunt.Perf.Bench.Counters;
using VmShunt.Perf.Ends;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Perf.Bench;

/// <summary>
/// The round trip between two threads with each wait strategy. Both ends use the same strategy and wake each other by
/// eventfd. Once back to back, once after a pause that is longer than the adaptive strategy spins, so that the device sleeps.
/// </summary>
[MemoryDiagnoser]
public class WaitStrategies
{
    private const int RoundTrips = 256, Pauses = 64;

    private RingMemory _memory = null!;
    private QueueEvents _events = null!;
    private Peer _peer = null!;
    private DriverEnd _driver = null!;
    private long _requests, _kicksBefore, _sleepsBefore;

    /// <summary>The wait strategy of both ends.</summary>
    [Params(WaitPolicy.Busy, WaitPolicy.Adaptive, WaitPolicy.Never)]
    public WaitPolicy Policy { get; set; }

    /// <summary>Twice the spin time of the adaptive strategy.</summary>
    internal static TimeSpan Pause => SpinBudget.DefaultSpin * 2;

    [GlobalSetup]
    public void Setup()
    {
        _memory = RingMemory.Create(dataBytes: 4096);
        _events = new QueueEvents();
        var queue = _memory.SplitDriver(indirect: true, eventIndex: true);
        var device = _memory.SplitDevice(indirect: true, eventIndex: true);
        _peer = new ThreadPeer(stopping => EchoEnd.Serve(device, _events, Policy, stopping), _events.Kick.Signal);
        _driver = new DriverEnd<SplitDriverQueue>(queue, _events, Policy, _peer.Exited);
        Tiering.Settle(AtOnce);
        (_requests, _kicksBefore, _sleepsBefore) = (0, _driver.Kicks, _driver.Sleeps);
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        RequestCounters.Report("Kicks", (double)(_driver.Kicks - _kicksBefore) / _requests, "Kicks per request: eventfd notifications from the driver to the device");
        RequestCounters.Report("Sleeps", (double)(_driver.Sleeps - _sleepsBefore) / _requests, "Sleeps per request: how often the driver blocked before its completion");
        _peer.Dispose();
        _driver.Dispose();
        _events.Dispose();
        _memory.Dispose();
    }

    [Benchmark(OperationsPerInvoke = RoundTrips)]
    public void AtOnce()
    {
        _driver.RoundTrips(RoundTrips);
        _requests += RoundTrips;
    }

    /// <summary>The mean includes the pause of 200 µs.</summary>
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
