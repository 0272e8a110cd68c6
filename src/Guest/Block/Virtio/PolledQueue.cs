using System.Runtime.InteropServices;
using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.BlockDriver.Virtio;

/// <summary>A queue that has no thread: whoever has a request runs it there and polls, one at a time.</summary>
internal abstract class PolledQueue : BusQueue
{
    /// <summary>
    /// Any thread. Gives the request to the device and waits for it; when this returns the request has ended, or was
    /// rejected to its fallback.
    /// </summary>
    /// <returns>False when another thread has the queue, or it is closed: the request is still the caller's.</returns>
    internal abstract bool TryRun(BlockRequest request);
}

/// <summary>
/// The driver's end of one virtqueue that belongs to the calling thread for the length of a call. Nothing is handed over:
/// the caller describes its request, kicks if it must, and looks at the used ring until the request is there. One that has
/// looked long enough sleeps, as a <see cref="QueueThread{TQueue}"/> does.
/// </summary>
internal sealed class PolledQueue<TQueue> : PolledQueue where TQueue : struct, IDriverQueue
{
    // Who never sleeps looks now and then whether the device's process still lives.
    private const int LooksPerPeer = 1 << 16;

    private const int Free = 0, InUse = 1, Closed = 2;

    private readonly RingSlots _slots;
    private readonly EventFd _kick;
    private readonly EventFd _call;
    private readonly WaitSet _sleep;
    private readonly SharedFlag _draining = new();
    private readonly SharedFlag _abandoned = new();
    private readonly Action<string> _lost;
    private readonly CrashGate _crash;
    private TQueue _queue;
    private SpinBudget _spin;
    private int _use;
    private int _idleLooks;
    private long _requests, _kicks, _calls;

    /// <param name="queue">The ring, clean.</param>
    /// <param name="slots">For its requests.</param>
    /// <param name="kick">The driver's eventfd; owned.</param>
    /// <param name="call">The device's eventfd; owned.</param>
    /// <param name="peer">Hung up when the device's process is gone.</param>
    /// <param name="settings">How a caller waits, and what it tells whom.</param>
    internal PolledQueue(TQueue queue, RingSlots slots, EventFd kick, EventFd call, SafeHandle peer, QueueThreadOptions settings)
    {
        _queue = queue;
        _slots = slots;
        _kick = kick;
        _call = call;
        _lost = settings.Lost;
        _crash = settings.Crash;
        _spin = new SpinBudget(settings.Wait, SpinBudget.DefaultSpin, mayMove: false);
        _sleep = new WaitSet(_call.Handle, peer);
        // While further rings are set up, answers for another thread arrive there.
        _sleep.IgnoreData(1);
        _queue.Disarm();
    }

    internal override QueueCounters Counters => new(Interlocked.Read(ref _requests), Interlocked.Read(ref _kicks), Interlocked.Read(ref _calls));

    internal override bool TryRun(BlockRequest request)
    {
        if (_draining.IsRaised || Interlocked.CompareExchange(ref _use, InUse, Free) != Free) return false;
        if (!TryIssue(request))
        {
            Interlocked.Exchange(ref _use, Free);
            return false;
        }
        if (WaitForDevice(out var slot) is { } why)
        {
            Lose(request, why);
            return true;
        }
        End(request, slot);
        Interlocked.Exchange(ref _use, Free);
        return true;
    }

    internal override void Drain()
    {
        // Nobody comes in any more, and who is inside ends with its request.
        _draining.Raise();
        SpinWait.SpinUntil(() => Interlocked.CompareExchange(ref _use, Closed, Free) != InUse);
    }

    internal override void Abandon()
    {
        _abandoned.Raise();
        // As if the device had called.
        _call.Signal();
    }

    public override void Dispose()
    {
        Drain();
        _sleep.Dispose();
        _kick.Dispose();
        _call.Dispose();
    }

    private bool TryIssue(BlockRequest request)
    {
        Span<QueueBuffer> buffers = stackalloc QueueBuffer[RingSlots.MaxBuffers];
        var (slot, count, readable) = _slots.Prepare(request, buffers);
        if (!_queue.TryAdd(buffers[..count], readable, slot))
        {
            _slots.Release(slot);
            return false;
        }
        request.RequestPath = RequestPath.Ring;
        request.Trace?.Pass(Hop.Described);
        _requests++;
        if (_queue.Publish())
        {
            _kicks++;
            _kick.Signal();
        }
        request.Trace?.Pass(Hop.Issued);
        return true;
    }

    /// <returns>Null when the request is done; otherwise why it never will be.</returns>
    private string? WaitForDevice(out ushort slot)
    {
        _spin.Refill();
        while (true)
        {
            _slots.ExpectStatus();
            var take = _queue.TryTakeUsed(out slot, out _);
            if (take == PopResult.Taken) return null;
            if (take == PopResult.Broken) return _queue.Fault;
            _crash.ParkIfCrashed();
            if (_abandoned.IsRaised || (++_idleLooks % LooksPerPeer == 0 && IsPeerGone()) || (!_spin.TrySpin() && SleepUntilCalled()))
                return "VM-H closed the channel";
        }
    }

    /// <returns>Whether the device's process is gone.</returns>
    private bool SleepUntilCalled()
    {
        var gone = false;
        if (!_queue.Arm() && !_abandoned.IsRaised)
        {
            var ran = _crash.Leave();
            _sleep.Wait();
            if (ran) _crash.Enter();
            if (_sleep.IsReady(0) && _call.TryDrain() && !_abandoned.IsRaised) _calls++;
            gone = _sleep.IsReady(1);
        }
        _queue.Disarm();
        _spin.Refill();
        return gone;
    }

    private bool IsPeerGone()
    {
        _sleep.Wait(0);
        return _sleep.IsReady(1);
    }

    private void End(BlockRequest request, ushort slot)
    {
        _slots.Take(slot, out var status);
        request.Trace?.Pass(Hop.Noticed);
        request.Complete(status);
    }

    private void Lose(BlockRequest request, string why)
    {
        // Of a crashed machine the bus was taken: nothing was lost, and nobody goes another way.
        _crash.ParkIfCrashed();
        // Once the channel is closed the device touches nothing any more: what it finished is in the used ring, and what
        // it did not may go another way. From here on this ring is nobody's.
        _lost(why);
        if (_queue.TryTakeUsed(out var slot, out _) == PopResult.Taken)
        {
            End(request, slot);
            Interlocked.Exchange(ref _use, Closed);
            return;
        }
        Interlocked.Exchange(ref _use, Closed);
        request.Reject();
    }
}
