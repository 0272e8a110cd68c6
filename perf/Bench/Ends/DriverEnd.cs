using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Perf.Bench.Ends;

/// <summary>The driver's end of a ring, whatever its layout, with one request in flight.</summary>
internal abstract class DriverEnd : IDisposable
{
    internal long Kicks { get; private protected set; }

    internal long Sleeps { get; private protected set; }

    /// <summary>Sends a request and waits until it is back, again and again.</summary>
    internal abstract void RoundTrips(int count);

    public abstract void Dispose();
}

/// <summary>Waits as the guest's queue thread does.</summary>
internal sealed class DriverEnd<TQueue> : DriverEnd where TQueue : struct, IDriverQueue
{
    private readonly QueueBuffer[] _buffers = RequestShape.Read(RingMemory.Slot(0), RingMemory.Data, 4096);
    private readonly Bell? _bell;
    private readonly WaitSet? _sleep;
    private readonly SharedFlag _peerGone;
    private TQueue _queue;
    private SpinBudget _spin;

    /// <param name="queue">The ring, clean.</param>
    /// <param name="bell">What wakes either end; null when neither ever sleeps.</param>
    /// <param name="policy">How the driver waits.</param>
    /// <param name="peerGone">Raised when there is nobody left to wait for.</param>
    internal DriverEnd(TQueue queue, Bell? bell, WaitPolicy policy, SharedFlag peerGone)
    {
        _queue = queue;
        _bell = bell;
        _sleep = bell is null ? null : new WaitSet(bell.Call.Handle);
        _peerGone = peerGone;
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
        if (_queue.Publish() && _bell is not null)
        {
            _bell.Kick.Signal();
            Kicks++;
        }
        _spin.Refill();
        PopResult found;
        while ((found = _queue.TryTakeUsed(out _, out _)) == PopResult.Empty)
        {
            if (_peerGone.IsRaised) throw new InvalidOperationException("the other end of the ring is gone");
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
            _bell!.Call.TryDrain();
        }
        _queue.Disarm();
    }
}
