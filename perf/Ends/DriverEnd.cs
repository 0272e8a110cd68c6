using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Perf.Ends;

/// <summary>The driver's end of a virtqueue of any layout, with one request in flight.</summary>
internal abstract class DriverEnd : IDisposable
{
    internal long Kicks { get; private protected set; }

    internal long Sleeps { get; private protected set; }

    /// <summary>Sends requests one by one and waits for each completion.</summary>
    internal abstract void RoundTrips(int count);

    public abstract void Dispose();
}

/// <summary>Waits as the guest's queue thread does.</summary>
internal sealed class DriverEnd<TQueue> : DriverEnd where TQueue : struct, IDriverQueue
{
    private readonly QueueBuffer[] _buffers = RequestShape.Read(RingMemory.Slot(0), RingMemory.Data, 4096);
    private readonly QueueEvents? _events;
    private readonly WaitSet? _sleep;
    private readonly SharedFlag _peerExited;
    private TQueue _queue;
    private SpinBudget _spin;

    /// <param name="queue">A new virtqueue.</param>
    /// <param name="events">The eventfds; null if neither end sleeps.</param>
    /// <param name="policy">How the driver waits.</param>
    /// <param name="peerExited">Raised when the other end has exited.</param>
    internal DriverEnd(TQueue queue, QueueEvents? events, WaitPolicy policy, SharedFlag peerExited)
    {
        _queue = queue;
        _events = events;
        _sleep = events is null ? null : new WaitSet(events.Call.Handle);
        _peerExited = peerExited;
        _spin = new SpinBudget(policy, SpinBudget.DefaultSpin, mayMove: false);
        _queue.Disarm();
    }

    internal override void RoundTrips(int count)
    {
        for (var i = 0; i < count; i++) RoundTrip();
    }

    public override void Dispose() => _sleep?.Dispose();

    private void RoundTrip()
    {
        if (!_queue.TryAdd(_buffers, RequestShape.Readable, 0)) throw new InvalidOperationException(_queue.Fault ?? "the ring is full");
        if (_queue.Publish() && _events is not null)
        {
            _events.Kick.Signal();
            Kicks++;
        }
        _spin.Refill();
        PopResult found;
        while ((found = _queue.TryPopUsed(out _, out _)) == PopResult.Empty)
        {
            if (_peerExited.IsRaised) throw new InvalidOperationException("the other end of the ring exited");
            if (_spin.TrySpin()) continue;
            Sleep();
            _spin.Refill();
        }
        if (found == PopResult.Broken) throw new InvalidOperationException(_queue.Fault);
    }

    private void Sleep()
    {
        if (!_queue.Arm())
        {
            Sleeps++;
            _sleep!.Wait();
            _events!.Call.TryDrain();
        }
        _queue.Disarm();
    }
}
