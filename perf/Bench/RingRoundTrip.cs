using BenchmarkDotNet.Attributes;
using VmShunt.Perf.Ends;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Perf.Bench;

/// <summary>
/// The round trip of one request on a virtqueue with both ends spinning, vs that of one cache line. The ratio is the cost of
/// the ring in units of the minimum on this machine. Between threads and between processes.
/// </summary>
[MemoryDiagnoser]
public class RingRoundTrip
{
    private const int RoundTrips = 1024;

    private RingMemory _memory = null!;
    private Peer _peer = null!;
    private CacheLine _line = null!;
    private DriverEnd? _driver;

    /// <summary>Where the other end runs.</summary>
    [Params(PeerPlace.Thread, PeerPlace.Process)]
    public PeerPlace Peer { get; set; }

    [GlobalSetup(Target = nameof(CacheLinePingPong))]
    public void StartCacheLine()
    {
        _memory = RingMemory.Create(dataBytes: 4096);
        _peer = Ends.Peer.Start(Peer, PeerWork.CacheLine, _memory);
        _line = new CacheLine(_memory.SharedLine, _peer.Exited);
        Tiering.Settle(CacheLinePingPong);
    }

    [GlobalSetup(Target = nameof(SplitRing))]
    public void StartSplitRing()
    {
        _memory = RingMemory.Create(dataBytes: 4096);
        // The driver first, because it clears the ring.
        Start(_memory.SplitDriver(indirect: true, eventIndex: true), PeerWork.SplitRing);
        Tiering.Settle(SplitRing);
    }

    [GlobalSetup(Target = nameof(PackedRing))]
    public void StartPackedRing()
    {
        _memory = RingMemory.Create(dataBytes: 4096);
        Start(_memory.PackedDriver(indirect: true, eventIndex: true), PeerWork.PackedRing);
        Tiering.Settle(PackedRing);
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
    public void SplitRing() => _driver!.RoundTrips(RoundTrips);

    [Benchmark(OperationsPerInvoke = RoundTrips)]
    public void PackedRing() => _driver!.RoundTrips(RoundTrips);

    private void Start<TQueue>(TQueue queue, PeerWork device) where TQueue : struct, IDriverQueue
    {
        _peer = Ends.Peer.Start(Peer, device, _memory);
        _driver = new DriverEnd<TQueue>(queue, events: null, WaitPolicy.Busy, _peer.Exited);
    }
}
