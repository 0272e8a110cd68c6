using System.Diagnostics;
using VmShunt.BlockDriver;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Ends;
using VmShunt.Perf.Launch;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Perf.Compare.Contestants;

/// <summary>
/// The bare virtqueue between two busy-polling processes: this one is the driver, the other returns every chain at once.
/// No guest, no device, no data.
/// </summary>
internal sealed class EchoContestant : Contestant, IDisposable
{
    private const int Batch = 512;

    private readonly OrphanGuard _guard;
    private readonly RingMemory _memory = RingMemory.Create(dataBytes: 4096);
    private readonly ProcessPeer _peer;
    private readonly DriverEnd _driver;

    internal EchoContestant(CompareSession session, RingLayout layout)
        : base($"ring, {(layout == RingLayout.Packed ? "packed" : "split")}", Given(session))
    {
        _guard = session.Guard;
        // The driver first, because it clears the ring.
        if (layout == RingLayout.Packed)
        {
            var queue = _memory.PackedDriver(indirect: true, eventIndex: true);
            _peer = Start(PeerWork.PackedRing);
            _driver = new DriverEnd<PackedDriverQueue>(queue, events: null, WaitPolicy.Busy, _peer.Exited);
        }
        else
        {
            var queue = _memory.SplitDriver(indirect: true, eventIndex: true);
            _peer = Start(PeerWork.SplitRing);
            _driver = new DriverEnd<SplitDriverQueue>(queue, events: null, WaitPolicy.Busy, _peer.Exited);
        }
        _ = Signal.Send(_peer.ProcessId, Signal.Stop);
    }

    internal override Task<Sample> MeasureAsync(TimeSpan duration) => Task.Run(() =>
    {
        _ = Signal.Send(_peer.ProcessId, Signal.Continue);
        try
        {
            _driver.RoundTrips(Batch);
            long start = Stopwatch.GetTimestamp(), count = 0;
            TimeSpan elapsed;
            do
            {
                _driver.RoundTrips(Batch);
                count += Batch;
            }
            while ((elapsed = Stopwatch.GetElapsedTime(start)) < duration);
            // Both ends use a core all the time.
            var cpu = elapsed.TotalMicroseconds / count;
            return new Sample(count / elapsed.TotalSeconds, null, null, null, cpu, cpu, 0);
        }
        finally
        {
            _ = Signal.Send(_peer.ProcessId, Signal.Stop);
        }
    });

    public void Dispose()
    {
        _ = Signal.Send(_peer.ProcessId, Signal.Continue);
        _guard.Forget(_peer.ProcessId);
        _driver.Dispose();
        _peer.Dispose();
        _memory.Dispose();
    }

    private ProcessPeer Start(PeerWork work)
    {
        var peer = new ProcessPeer(work, _memory);
        _guard.Watch(peer.ProcessId);
        return peer;
    }

    private static Inputs Given(CompareSession session) => new()
    {
        Operation = "echo",
        BlockBytes = 0,
        Depth = 1,
        Medium = "none",
        Content = "nothing",
        DiskBytes = 0,
        RangeBytes = 0,
        Generator = "a thread of this process, polling",
        Seconds = session.Options.Turn.TotalSeconds,
    };
}
