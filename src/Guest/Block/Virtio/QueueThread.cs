using System.Runtime.InteropServices;
using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.BlockDriver.Virtio;

/// <summary>A queue with a thread, for either ring layout.</summary>
/// <param name="number">Its number among the channel's queues with a thread, from 0.</param>
internal abstract class QueueThread(int number) : BusQueue, IBatchSubmitter
{
    [ThreadStatic]
    private protected static QueueThread? t_here;

    /// <summary>The queue that the calling thread owns; null on other threads, and once the queue is closed.</summary>
    internal static QueueThread? OfThread => t_here;

    internal int Number => number;

    /// <summary>Any thread. Accepts the request, or rejects it to its fallback if the queue is closed.</summary>
    internal abstract void Submit(BlockRequest request);

    /// <summary>Any thread. Accepts the request, unless the queue is closed or has a backlog.</summary>
    /// <returns>False: the request is still the caller's.</returns>
    internal abstract bool TrySubmit(BlockRequest request);

    public abstract void TakeKept(BlockRequest newest, BlockRequest oldest);
}

/// <summary>
/// The thread that owns the driver's end of one virtqueue. Only it touches the ring, so there is no lock: other threads
/// submit through an inbox; continuations run on this thread and submit straight into the ring.
/// </summary>
internal sealed class QueueThread<TQueue> : QueueThread where TQueue : struct, IDriverQueue
{
    // A thread that never blocks checks every so many polls whether the device's process has exited.
    private const int PollsPerPeerCheck = 1 << 16;

    private readonly RingSlots _slots;
    private readonly EventFd _kick;
    private readonly EventFd _call;
    private readonly EventFd _wake = EventFd.Create();
    private readonly WaitSet _sleep;
    private readonly SubmissionInbox _inbox = new();
    private readonly SharedFlag _draining = new();
    private readonly SharedFlag _abandoned = new();
    private readonly QueueThreadOptions _settings;
    private readonly CrashGate _crash;
    private readonly Thread _thread;
    private TQueue _queue;
    private BlockRequestList _backlog;
    private bool _unpublished;
    private RequestObserver? _unpublishedObservers;
    private int _sleeping;
    private int _idlePolls;

    // Written by the queue's thread; read by any thread.
    private long _requests, _kicks, _calls;

    /// <param name="number">Its number among the channel's queues with a thread, from 0.</param>
    /// <param name="queue">The ring, newly initialized.</param>
    /// <param name="slots">As many slots as the ring holds requests.</param>
    /// <param name="kick">The driver's eventfd; owned.</param>
    /// <param name="call">The device's eventfd; owned.</param>
    /// <param name="peer">A socket that hangs up when the device's process exits.</param>
    /// <param name="settings">The queue's options.</param>
    internal QueueThread(int number, TQueue queue, RingSlots slots, EventFd kick, EventFd call, SafeHandle peer, QueueThreadOptions settings) : base(number)
    {
        _queue = queue;
        _slots = slots;
        _kick = kick;
        _call = call;
        _settings = settings;
        _crash = settings.Crash;
        _sleep = new WaitSet(_wake.Handle, _call.Handle, peer);
        // While further rings are set up, the socket receives replies for another thread.
        _sleep.IgnoreData(2);
        _thread = new Thread(EnterAndRun) { IsBackground = true, Name = "ring" };
        _thread.Start();
    }

    internal override QueueCounters Counters => new(Ordered.Load(ref _requests), Ordered.Load(ref _kicks), Ordered.Load(ref _calls));

    internal override void Submit(BlockRequest request)
    {
        request.RequestPath = RequestPath.Ring;
        if (ReferenceEquals(t_here, this))
        {
            Accept(request);
            return;
        }
        if (BatchSubmission.TryKeep(this, request)) return;
        if (!_inbox.TryPush(request)) request.Reject();
        else WakeIfAsleep();
    }

    internal override bool TrySubmit(BlockRequest request)
    {
        // On another thread the backlog check may be stale; the request then joins the backlog.
        if (!_backlog.IsEmpty || _draining.IsRaised) return false;
        request.RequestPath = RequestPath.Ring;
        if (ReferenceEquals(t_here, this))
        {
            Accept(request);
            return true;
        }
        if (BatchSubmission.TryKeep(this, request)) return true;
        if (!_inbox.TryPush(request)) return false;
        WakeIfAsleep();
        return true;
    }

    public override void TakeKept(BlockRequest newest, BlockRequest oldest)
    {
        if (!_inbox.TryPush(newest, oldest)) Reject(BlockRequestList.Reverse(newest));
        else WakeIfAsleep();
    }

    internal override void Drain()
    {
        _draining.Raise();
        _wake.Signal();
        _thread.Join();
    }

    internal override void Abandon()
    {
        _abandoned.Raise();
        _wake.Signal();
    }

    public override void Dispose()
    {
        Drain();
        // Not the wake-up eventfd: a submitter that has just pushed a request may be about to signal it.
        _sleep.Dispose();
        _kick.Dispose();
        _call.Dispose();
    }

    // The push before this is a full barrier, which orders it before the load: either this thread sees the flag, or the
    // queue's thread sees the request before it blocks.
    private void WakeIfAsleep()
    {
        if (Ordered.Load(ref _sleeping) != 0) _wake.Signal();
    }

    private void EnterAndRun()
    {
        _settings.Enter();
        t_here = this;
        try
        {
            _crash.Enter();
            Run();
        }
        catch (Exception e)
        {
            // For example, a request that fell back to the trap path lost its hypervisor.
            _settings.MachineCheck(e);
        }
        finally
        {
            t_here = null;
            _crash.Leave();
            _settings.Leave();
        }
    }

    private void Run()
    {
        var spin = new SpinBudget(_settings.Wait, SpinBudget.DefaultSpin, mayMove: false);
        _queue.Disarm();
        while (true)
        {
            _crash.ParkIfCrashed();
            var worked = TakeSubmissions() | TakeCompletions();
            RefillRing();
            PublishIfNeeded();
            if (_queue.Fault is not null || _abandoned.IsRaised) break;
            if (worked)
            {
                spin.Refill();
            }
            else if (++_idlePolls % PollsPerPeerCheck == 0 && HasPeerExited())
            {
                break;
            }
            else if (_draining.IsRaised && _queue.InFlight == 0)
            {
                t_here = null;
                Reject(_inbox.Close());
                return;
            }
            else if (!spin.TrySpin())
            {
                if (BlockUntilWoken()) break;
                spin.Refill();
            }
        }
        Lose(_queue.Fault ?? "the back-end closed the channel");
    }

    private bool TakeSubmissions()
    {
        var request = _inbox.TakeAll();
        if (request is null) return false;
        while (request is not null)
        {
            var next = request.Next;
            request.Next = null;
            Accept(request);
            request = next;
        }
        return true;
    }

    private bool TakeCompletions()
    {
        var worked = false;
        if (_queue.InFlight == 1) _slots.ExpectStatus();
        while (_queue.TryPopUsed(out var slot, out _) == PopResult.Popped)
        {
            worked = true;
            var request = _slots.Take(slot, out var status);
            request.Observer?.Pass(DriverHop.Noticed);
            request.Complete(status);
        }
        return worked;
    }

    private void Accept(BlockRequest request)
    {
        if (!_backlog.IsEmpty || !TryAdd(request)) _backlog.Add(request);
    }

    private void RefillRing()
    {
        while (!_backlog.IsEmpty && _slots.HasFree)
        {
            var request = _backlog.TakeFirst()!;
            if (TryAdd(request)) continue;
            _backlog.AddFirst(request);
            return;
        }
    }

    private bool TryAdd(BlockRequest request)
    {
        if (!_slots.HasFree) return false;
        // A cancelled request is dropped. One that the ring has no room for stays claimed, at the head of the backlog.
        if (!request.TryTake()) return true;
        Span<QueueBuffer> buffers = stackalloc QueueBuffer[RingSlots.MaxBuffers];
        var (slot, count, readable) = _slots.Prepare(request, buffers);
        if (!_queue.TryAdd(buffers[..count], readable, slot))
        {
            _slots.Release(slot);
            return false;
        }
        _unpublished = true;
        if (request.Observer is { } observer) NoteDescribed(observer);
        _requests++;
        return true;
    }

    private void PublishIfNeeded()
    {
        if (!_unpublished) return;
        _unpublished = false;
        if (_queue.Publish())
        {
            _kicks++;
            _kick.Signal();
        }
        if (_unpublishedObservers is not null) NoteIssued();
    }

    private void NoteDescribed(RequestObserver observer)
    {
        observer.Pass(DriverHop.Described);
        observer.Next = _unpublishedObservers;
        _unpublishedObservers = observer;
    }

    private void NoteIssued()
    {
        for (var observer = _unpublishedObservers; observer is not null; observer = observer.Next) observer.Pass(DriverHop.Issued);
        _unpublishedObservers = null;
    }

    /// <returns>Whether the device's process has exited.</returns>
    private bool BlockUntilWoken()
    {
        // A full barrier between the flag and the re-check of the inbox: a submitter that did not see the flag has pushed
        // its request before the check.
        Interlocked.Exchange(ref _sleeping, 1);
        var hasExited = false;
        if (!_queue.Arm() && !_inbox.HasMore && !_draining.IsRaised)
        {
            _crash.Leave();
            _sleep.Wait();
            _crash.Enter();
            if (_sleep.IsReady(0)) _wake.TryDrain();
            if (_sleep.IsReady(1) && _call.TryDrain()) _calls++;
            hasExited = _sleep.IsReady(2);
        }
        Interlocked.Exchange(ref _sleeping, 0);
        _queue.Disarm();
        return hasExited;
    }

    private bool HasPeerExited()
    {
        _sleep.Wait(0);
        return _sleep.IsReady(2);
    }

    private void Lose(string why)
    {
        // After a crash the hypervisor revokes the bus: requests must not take their fallback.
        _crash.ParkIfCrashed();
        // This closes the channel, after which the device touches the ring no more. Requests that it completed are in the
        // used ring; the rest may take their fallback.
        _settings.Lost(why);
        TakeCompletions();
        t_here = null;
        Reject(_inbox.Close());
        var rest = _slots.TakeAll().ToArray();
        foreach (var request in rest) request.Reject();
        while (_backlog.TakeFirst() is { } request) request.Reject();
    }

    private static void Reject(BlockRequest? request)
    {
        while (request is not null)
        {
            var next = request.Next;
            request.Next = null;
            request.Reject();
            request = next;
        }
    }
}
