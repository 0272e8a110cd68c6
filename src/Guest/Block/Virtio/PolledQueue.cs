using System.Runtime.InteropServices;
using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.BlockDriver.Virtio;

/// <summary>
/// A queue without a thread. Either callers run one request at a time on it (<see cref="TryRun"/>), or one owner keeps
/// several in flight: it enters, adds, publishes or takes, and leaves. The two are not mixed.
/// </summary>
internal abstract class PolledQueue : BusQueue
{
    /// <summary>The most requests of an owner in flight.</summary>
    internal abstract int Capacity { get; }

    /// <summary>The owner enters, which keeps the queue open until it leaves. Enter for a few operations, not to wait.</summary>
    /// <returns>False: the queue is closed. Requests that were in flight complete or are rejected by the thread that closed it.</returns>
    internal abstract bool TryEnter();

    /// <summary>The owner leaves.</summary>
    internal abstract void Leave();

    /// <summary>Describes a request. Owner, inside.</summary>
    /// <returns>False: the ring is full.</returns>
    internal abstract bool TryAdd(BlockRequest request);

    /// <summary>Publishes the requests that were added, and kicks if needed. Owner, inside.</summary>
    internal abstract void Publish();

    /// <summary>Takes a completed request; null if there is none. Its <see cref="BlockRequest.Complete"/> is not called. Owner, inside.</summary>
    internal abstract BlockRequest? TakeCompleted(out BlockStatus status);

    /// <summary>Blocks until the device calls, it is lost, the queue is being closed, or the time is over. Owner, inside.</summary>
    /// <returns>Whether the next look at the ring may find something.</returns>
    internal abstract bool Sleep(TimeSpan timeout);

    /// <summary>Checks the device after a poll that found nothing. Owner, inside.</summary>
    /// <returns>Why the device is lost, for <see cref="ReportLoss"/>; null while it is not, or when the queue is being closed.</returns>
    internal abstract string? FindLoss();

    /// <summary>Reports the loss of the device; the queue is closed soon after. Owner, outside.</summary>
    internal abstract void ReportLoss(string why);

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

    private const string Closing = "the back-end closed the channel";

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
    private int _ownerSleeps;
    private bool _hasPeerExited;
    private bool _isEmptied;

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

    internal override int Capacity => _queue.Capacity;

    internal override QueueCounters Counters => new(Ordered.Load(ref _requests), Ordered.Load(ref _kicks), Ordered.Load(ref _calls));

    internal override bool TryEnter() => !_draining.IsRaised && Interlocked.CompareExchange(ref _use, InUse, Free) == Free;

    internal override void Leave() => Ordered.Store(ref _use, Free);

    internal override bool TryAdd(BlockRequest request) => _slots.HasFree && TryDescribe(request);

    internal override void Publish()
    {
        if (!_queue.Publish()) return;
        _kicks++;
        _kick.Signal();
    }

    internal override BlockRequest? TakeCompleted(out BlockStatus status)
    {
        if (_queue.InFlight == 1) _slots.ExpectStatus();
        if (_queue.TryPopUsed(out var slot, out _) == PopResult.Popped) return _slots.Take(slot, out status);
        status = default;
        return null;
    }

    internal override bool Sleep(TimeSpan timeout)
    {
        Ordered.Store(ref _ownerSleeps, 1);
        var isReady = _queue.Arm() || _draining.IsRaised;
        if (!isReady)
        {
            isReady = _sleep.Wait((int)timeout.TotalMilliseconds);
            if (_sleep.IsReady(0) && _call.TryDrain() && !_draining.IsRaised) _calls++;
            _hasPeerExited = _sleep.IsReady(1);
        }
        Ordered.Store(ref _ownerSleeps, 0);
        _queue.Disarm();
        return isReady;
    }

    internal override string? FindLoss()
    {
        if (_queue.Fault is { } fault) return fault;
        if (_abandoned.IsRaised) return null;
        return _hasPeerExited || (++_idlePolls % PollsPerPeerCheck == 0 && HasPeerExited()) ? Closing : null;
    }

    internal override void ReportLoss(string why) => _lost(why);

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
            Lose(why);
            return true;
        }
        _slots.Take(slot, out var status);
        Complete(request, status);
        Interlocked.Exchange(ref _use, Free);
        return true;
    }

    internal override void Drain()
    {
        // No caller enters any more; one inside leaves once its request completes.
        _draining.Raise();
        SpinWait.SpinUntil(TryClose);
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
        // Requests of an owner. The device is off the ring: it has returned them, or is lost.
        if (!_isEmptied) RejectAll(TakeRest());
        _isEmptied = true;
        _sleep.Dispose();
        _kick.Dispose();
        _call.Dispose();
    }

    private bool TryClose()
    {
        if (Interlocked.CompareExchange(ref _use, Closed, Free) != InUse) return true;
        // As often as it is seen asleep: this load may come before the owner's last look at the flag.
        if (Ordered.Load(ref _ownerSleeps) != 0) _call.Signal();
        return false;
    }

    private bool TryIssue(BlockRequest request)
    {
        if (!TryDescribe(request)) return false;
        Publish();
        request.Observer?.Pass(DriverHop.Issued);
        return true;
    }

    private bool TryDescribe(BlockRequest request)
    {
        Span<QueueBuffer> buffers = stackalloc QueueBuffer[RingSlots.MaxBuffers];
        var (slot, count, readable) = _slots.Prepare(request, buffers);
        if (!_queue.TryAdd(buffers[..count], readable, slot))
        {
            _slots.Release(slot);
            return false;
        }
        request.RequestPath = RequestPath.Ring;
        request.Observer?.Pass(DriverHop.Described);
        _requests++;
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
                return Closing;
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

    private static void Complete(BlockRequest request, BlockStatus status)
    {
        request.Observer?.Pass(DriverHop.Noticed);
        request.Complete(status);
    }

    private void Lose(string why)
    {
        // After a crash the hypervisor revokes the bus: requests must not take their fallback.
        _crash.ParkIfCrashed();
        // This closes the channel, after which the device touches the ring no more. A request that it completed is in the
        // used ring; otherwise the request may take its fallback.
        _lost(why);
        var rest = TakeRest();
        Interlocked.Exchange(ref _use, Closed);
        RejectAll(rest);
    }

    /// <summary>Completes what the device has completed.</summary>
    /// <returns>The other requests.</returns>
    private BlockRequest[] TakeRest()
    {
        while (TakeCompleted(out var status) is { } request) Complete(request, status);
        return [.. _slots.TakeAll()];
    }

    private static void RejectAll(BlockRequest[] requests)
    {
        foreach (var request in requests) request.Reject();
    }
}
