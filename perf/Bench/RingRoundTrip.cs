using BenchmarkDotNet.Attributes;
using VmShunt.Perf.Bench.Ends;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Perf.Bench;

/// <summary>
/// One request to the other end of a ring and back, both ends spinning, beside one cache line thrown to and fro: the
/// ratio is what the ring costs in units of what this machine can do at all. Between threads and between processes.
/// </summary>
[MemoryDiagnoser]
public class RingRoundTrip
{
    private const int RoundTrips = 1024;

    private RingMemory _memory = null!;
    private Peer _peer = null!;
    private CacheLine _line = null!;
    private DriverEnd<SplitDriverQueue> _driver = null!;

    /// <summary>Where the other end runs.</summary>
    [Params(PeerPlace.Thread, PeerPlace.Process)]
    public PeerPlace Peer { get; set; }

    [GlobalSetup(Target = nameof(CacheLinePingPong))]
    public void ThrowLine()
    {
        _memory = RingMemory.Create(dataBytes: 4096);
        _peer = Ends.Peer.Start(Peer, PeerWork.CacheLine, _memory);
        _line = new CacheLine(_memory.Ball, _peer.Gone);
        Tiering.Settle(CacheLinePingPong);
    }

    [GlobalSetup(Target = nameof(SplitRing))]
    public void StartSplitRing()
    {
        _memory = RingMemory.Create(dataBytes: 4096);
        // The driver first: it clears the ring.
        var queue = _memory.SplitDriver(indirect: true, eventIndex: true);
        _peer = Ends.Peer.Start(Peer, PeerWork.SplitRing, _memory);
        _driver = new DriverEnd<SplitDriverQueue>(queue, bell: null, WaitPolicy.Busy, _peer.Gone);
        Tiering.Settle(SplitRing);
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        _driver?.Dispose();
        _peer.Dispose();
        _memory.Dispose();
    }

    [Benchmark(Baseline = true, OperationsPerInvoke = RoundTrips)]
    public void CacheLinePingPong()
    {
        for (var i = 0; i < RoundTrips; i++) _line.RoundTrip();
    }

    [Benchmark(OperationsPerInvoke = RoundTrips)]
    public void SplitRing()
    {
        for (var i = 0; i < RoundTrips; i++) _driver.RoundTrip();
    }
}
