using System.Runtime.InteropServices;
using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.BlockDriver.Virtio;

/// <summary>A queue without a thread. A caller runs its request on it and polls; one caller at a time.</summary>
internal abstract class PolledQueue : BusQueue
{
    /// <summary>
    /// Any thread. Submits the request to the device and waits for it. On return it has completed, or was rejected to its
    /// fallback.
    /// </summary>
    /// <returns>False: another caller owns the queue, or it is closed; the request is still the caller's.</returns>
    internal abstract bool TryRun(BlockRequest request);
}

/// <summary>
/// The driver's end of one virtqueue, owned by the calling thread for the duration of a call. The caller describes its
/// request, kicks if needed, and polls the used ring. Once its spin budget is used up it blocks, as a
/// <see cref="QueueThread{TQueue}"/> does.
/// </summary>
internal sealed class PolledQueue<TQueue> : PolledQueue where TQueue : struct, IDriverQueue
{
    // A caller that never blocks checks every so many polls whether the device's process has exited.
    private const int PollsPerPeerCheck = 1 << 16;

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
    private int _idlePolls;

    // Written by the queue's owner, one at a time; read by any thread.
    private long _requests, _kicks, _calls;

    /// <param name="queue">The ring, newly initialized.</param>
    /// <param name="slots">At least as many slots as the ring holds requests.</param>
    /// <param name="kick">The driver's eventfd; owned.</param>
    /// <param name="call">The device's eventfd; owned.</param>
    /// <param name="peer">A socket that hangs up when the device's process exits.</param>
    /// <param name="settings">The queue's options.</param>
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
        // While further rings are set up, the socket receives replies for another thread.
        _sleep.IgnoreData(1);
        _queue.Disarm();
    }

    internal override QueueCounters Counters => new(Ordered.Load(ref _requests), Ordered.Load(ref _kicks), Ordered.Load(ref _calls));

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
        Complete(request, slot);
        Interlocked.Exchange(ref _use, Free);
        return true;
    }

    internal override void Drain()
    {
        // No caller enters any more; one inside leaves once its request completes.
        _draining.Raise();
        SpinWait.SpinUntil(() => Interlocked.CompareExchange(ref _use, Closed, Free) != InUse);
    }

    internal override void Abandon()
    {
        _abandoned.Raise();
        // Wakes a blocked caller, as a call by the device would.
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

    /// <returns>Null if the request has completed, otherwise the reason why it never will.</returns>
    private string? WaitForDevice(out ushort slot)
    {
        _spin.Refill();
        while (true)
        {
            _slots.ExpectStatus();
            var take = _queue.TryPopUsed(out slot, out _);
            if (take == PopResult.Popped) return null;
            if (take == PopResult.Broken) return _queue.Fault;
            _crash.ParkIfCrashed();
            if (_abandoned.IsRaised || (++_idlePolls % PollsPerPeerCheck == 0 && HasPeerExited()) || (!_spin.TrySpin() && BlockUntilCalled()))
                return "VM-H closed the channel";
        }
    }

    /// <returns>Whether the device's process has exited.</returns>
    private bool BlockUntilCalled()
    {
        var hasExited = false;
        if (!_queue.Arm() && !_abandoned.IsRaised)
        {
            var ran = _crash.Leave();
            _sleep.Wait();
            if (ran) _crash.Enter();
            if (_sleep.IsReady(0) && _call.TryDrain() && !_abandoned.IsRaised) _calls++;
            hasExited = _sleep.IsReady(1);
        }
        _queue.Disarm();
        _spin.Refill();
        return hasExited;
    }

    private bool HasPeerExited()
    {
        _sleep.Wait(0);
        return _sleep.IsReady(1);
    }

    private void Complete(BlockRequest request, ushort slot)
    {
        _slots.Take(slot, out var status);
        request.Trace?.Pass(Hop.Noticed);
        request.Complete(status);
    }

    private void Lose(BlockRequest request, string why)
    {
        // After a crash the hypervisor revokes the bus: requests must not take their fallback.
        _crash.ParkIfCrashed();
        // This closes the channel, after which the device touches the ring no more. A request that it completed is in the
        // used ring; otherwise the request may take its fallback.
        _lost(why);
        if (_queue.TryPopUsed(out var slot, out _) == PopResult.Popped)
        {
            Complete(request, slot);
            Interlocked.Exchange(ref _use, Closed);
            return;
        }
        Interlocked.Exchange(ref _use, Closed);
        request.Reject();
    }
}
