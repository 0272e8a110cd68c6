using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Ring.VhostUser;

namespace VmShunt.Ring.Serving;

/// <summary>
/// Serves a ring, on a dedicated thread or in a poll group. A ring of a poll group moves to a dedicated thread for a long
/// request and when it is broken, and rejoins the group when it is idle. Either the thread or the group owns the ring
/// at any time.
/// </summary>
internal sealed class VringWorker : PollGroupMember, IRunningVring
{
    // After this many steps a poll group visits its next ring.
    private const int MaxStepsPerVisit = 16;

    // A stop waits so long before it abandons a request, looks so often whether it can, and reports after so many looks.
    private const int GraceMilliseconds = 100, LookMilliseconds = 20, LooksToReport = 45;

    // The descriptors' indices in the thread's wait set.
    private const int KickIndex = 1, CompletedIndex = 2;

    private readonly VringSetup _setup;
    private readonly VringHandler _handler;
    private readonly TaskCompletionSource _stopped = new();
    private readonly EventFd _wake = EventFd.Create();
    private readonly PollGroup? _group;
    private readonly Action<string> _broken;
    private readonly WaitPolicy _policy;

    // Set before the thread starts.
    private bool _keepsThread;

    // What the handler threw: the ring is served no more. Of the thread that serves the ring.
    private string? _failure;

    // 1: no thread serves the ring, so the one that stops it closes it.
    private int _isOrphaned;

    // Stop reads it after _stopped, which orders it after the last store.
    private Thread? _thread;

    // Keeps the guest's memory mapped while an abandoned request uses it.
    private GuestMemory? _kept;

    /// <summary>Starts to serve.</summary>
    /// <param name="handler">Does the steps.</param>
    /// <param name="policy">How a dedicated thread waits.</param>
    /// <param name="groups">The poll groups, one of which serves the ring; null where a step may block.</param>
    /// <param name="broken">Receives the fault when the driver breaks the ring.</param>
    internal VringWorker(VringHandler handler, WaitPolicy policy, PollGroups? groups, Action<string> broken)
    {
        _setup = handler.Setup;
        _handler = handler;
        _broken = broken;
        // Without a kick descriptor the thread cannot block: it polls, and so has no place in a group.
        _policy = _setup.Kick is null ? WaitPolicy.Busy : policy;
        _group = _setup.Kick is null ? null : groups?.TryAssign();
        if (_group is null) ServeOnOwnThread(permanently: true);
        else _group.Add(this);
    }

    internal override EventFd Kick => _setup.Kick!;

    internal override long Notifications => _handler.DriverCall.Notifications;

    internal override bool IsStopping => _handler.Stopping.IsRaised;

    public uint Stop()
    {
        _handler.Stopping.Raise();
        _wake.Signal();
        _group?.Release(this);
        CloseIfOrphaned();
        if (!_stopped.Task.Wait(GraceMilliseconds) && !TryAwait()) return _handler.Position;
        _thread?.Join();
        _wake.Dispose();
        return _handler.Position;
    }

    public bool HasInflight => _handler.HasInflight;

    /// <returns>False when a request was abandoned: the thread ends when the device returns.</returns>
    private bool TryAwait()
    {
        if (_handler.MayAbandon) _kept = _setup.Memory.Keep();
        for (var looks = 1; ; looks++)
        {
            if (_handler.MayAbandon && _handler.Calls.TryAbandon())
            {
                _handler.OnAbandoned();
                return false;
            }
            if (looks == LooksToReport) _handler.OnSlowStop();
            CloseIfOrphaned();
            if (_stopped.Task.Wait(LookMilliseconds)) break;
        }
        _kept?.Dispose();
        return true;
    }

    internal override void ServeOnOwnThread(bool permanently)
    {
        _keepsThread = permanently;
        try
        {
            _thread = ServingThread.Start(Run, $"vring {_setup.Index}");
        }
        catch (IOException e) when (_group is not null)
        {
            // On the group's thread, which has other rings to serve.
            ReportBroken(e.Message);
            Ordered.Store(ref _isOrphaned, 1);
        }
    }

    internal override RingVisit Visit()
    {
        for (var steps = 0; steps < MaxStepsPerVisit; steps++)
        {
            switch (Step(defersLong: true))
            {
                case HandlerStep.Worked:
                    continue;
                case HandlerStep.Published:
                    return RingVisit.Worked;
                case HandlerStep.Empty:
                    return steps > 0 ? RingVisit.Worked : RingVisit.Empty;
                default:
                    return RingVisit.Unsuitable;
            }
        }
        return Try(static handler => handler.PublishPending()) ? RingVisit.Worked : RingVisit.Unsuitable;
    }

    // A ring that cannot be armed has work: its next step finds why.
    internal override bool Arm()
    {
        var hasWork = true;
        try
        {
            hasWork = _handler.Arm();
        }
        catch (Exception e)
        {
            _failure ??= e.Message;
        }
        return hasWork;
    }

    internal override void Disarm() => Try(static handler => handler.Disarm());

    internal override void Finish()
    {
        if (_handler.HasPending) ServeOnOwnThread(permanently: true);
        else Close();
    }

    /// <summary>A step, which breaks the ring when it throws: the disk, the system or a device's code failed in a way that no request reports.</summary>
    private HandlerStep Step(bool defersLong)
    {
        if (_failure is not null) return HandlerStep.Broken;
        try
        {
            return _handler.Step(defersLong);
        }
        catch (Exception e)
        {
            _failure = e.Message;
            return HandlerStep.Broken;
        }
    }

    private bool Try(Action<VringHandler> action)
    {
        try
        {
            action(_handler);
            return true;
        }
        catch (Exception e)
        {
            _failure ??= e.Message;
            return false;
        }
    }

    private void ReportBroken(string fault)
    {
        _broken(fault);
        _setup.Error?.Signal();
    }

    private void CloseIfOrphaned()
    {
        if (Interlocked.Exchange(ref _isOrphaned, 0) != 0) Close();
    }

    private void Close()
    {
        if (!_handler.Calls.IsAbandoned) Try(static handler => handler.Drain());
        Try(static handler => handler.Close());
        if (_handler.Calls.IsAbandoned)
        {
            _kept!.Dispose();
            _wake.Dispose();
        }
        _stopped.SetResult();
    }

    private void Run()
    {
        try
        {
            Serve();
        }
        catch (Exception e)
        {
            ReportBroken($"serving it failed: {e.Message}");
            Ordered.Store(ref _isOrphaned, 1);
        }
    }

    private void Serve()
    {
        using var sleep = CreateWaitSet();
        using var stopped = new WaitSet(_wake.Handle);
        var spin = new SpinBudget(_keepsThread || _policy == WaitPolicy.Never ? _policy : WaitPolicy.Adaptive, SpinBudget.DefaultSpin, mayMove: true);
        Disarm();
        // Pending chains are completed before a stop.
        while (!_handler.Calls.IsAbandoned && (!_handler.Stopping.IsRaised || _handler.HasPending))
        {
            switch (Step(defersLong: false))
            {
                case HandlerStep.Worked:
                    spin.Refill(_handler.DriverCall.Notifications);
                    break;
                case HandlerStep.Broken:
                    Try(static handler => handler.Drain());
                    if (_handler.Calls.IsAbandoned) break;
                    ReportBroken(_failure is null ? _handler.Fault! : $"serving it failed: {_failure}");
                    // The ring stays unusable until it is stopped and set up again.
                    stopped.Wait();
                    if (_failure is null) break;
                    Close();
                    return;
                case HandlerStep.Empty when _handler.IsDeep:
                    // The driver submits again when a request completes; until then the core is free for the device's interrupts.
                    Try(static handler => handler.WaitForCompletion());
                    break;
                case HandlerStep.Empty when !spin.TrySpin():
                    if (!_keepsThread)
                    {
                        _group!.Add(this);
                        return;
                    }
                    Block(sleep);
                    spin.Refill();
                    break;
            }
        }
        Close();
    }

    // A ring without a kick descriptor is polled, and never blocks on this.
    private WaitSet CreateWaitSet() => (_setup.Kick, _handler.Completed) switch
    {
        (null, _) => new WaitSet(_wake.Handle),
        ({ } kick, null) => new WaitSet(_wake.Handle, kick.Handle),
        ({ } kick, { } completed) => new WaitSet(_wake.Handle, kick.Handle, completed.Handle),
    };

    private void Block(WaitSet sleep)
    {
        if (!Arm())
        {
            sleep.Wait();
            if (sleep.IsReady(KickIndex)) _setup.Kick?.TryDrain();
            if (_handler.Completed is { } completed && sleep.IsReady(CompletedIndex)) completed.TryDrain();
        }
        Disarm();
    }
}
