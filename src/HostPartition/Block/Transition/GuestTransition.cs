using Microsoft.Extensions.Logging;
using VmShunt.Ring.Memory;
using static VmShunt.BlockBackend.Transition.PairEvent;

namespace VmShunt.BlockBackend.Transition;

/// <summary>
/// The transition of one guest: it has the state, and gives both paths their orders when that changes. It lives as long as the
/// session of the trap path. Any thread, but none that holds a lock of a path.
/// </summary>
internal sealed class GuestTransition : IDisposable
{
    /// <summary>A reset without a driver is a driver's end after this time.</summary>
    internal static readonly TimeSpan ResetLimit = TimeSpan.FromSeconds(2);

    /// <summary>The end of a ring's session without another is a driver's end after this time.</summary>
    internal static readonly TimeSpan AwayLimit = TimeSpan.FromSeconds(10);

    private readonly Lock _lock = new();
    private readonly ITrapPath _trap;
    private readonly long _probeLimit;
    private readonly TransitionReport _report;
    private readonly DriverTimer _timer;
    private IRingPath? _ring;
    private PairState _state;
    private long _bytesReadBefore, _requestsBefore;

    // Stopped: the rings' outstanding requests may not be complete yet.
    private bool _awaitsRing, _disposed;

    /// <param name="trap">The trap path.</param>
    /// <param name="probeLimit">How many bytes a driver that only probes the disk reads at most.</param>
    /// <param name="guest">Names the guest in the log.</param>
    /// <param name="log">Gets a line for each change.</param>
    /// <param name="time">The clock of the limits.</param>
    internal GuestTransition(ITrapPath trap, long probeLimit, string guest, ILogger log, TimeProvider time)
    {
        _trap = trap;
        _probeLimit = probeLimit;
        _report = new TransitionReport(log, guest, time);
        _timer = new DriverTimer(time, OnTimer);
        trap.Gate.MayWrite = TransitionTable.Of(_state).TrapWrites;
        trap.Gate.Ask = MayTrapWrite;
    }

    internal PairState State
    {
        get
        {
            lock (_lock) return _state;
        }
    }

    /// <summary>The trap path's device was enumerated.</summary>
    internal void Enumerated()
    {
        lock (_lock)
        {
            _trap.Gate.IsInterruptDriven = false;
            BeginEpoch();
            // Chains before this moment may be a dead kernel's.
            _ring?.Mark();
            Apply(Enumeration);
        }
    }

    /// <summary>The trap path's device was reset by its client.</summary>
    internal void TrapReset()
    {
        lock (_lock)
        {
            // A machine that wakes: the driver of the ring is expected again.
            if (_state == PairState.Resetting || _trap.Gate.Requests == _requestsBefore) Apply(UnusedReset);
        }
    }

    /// <summary>The disk of the trap path has gone, after <see cref="ITrapPath.Unplug"/> returned false.</summary>
    internal void TrapDiskGone() => Tell(Unplugged);

    /// <summary>The ring's session has opened.</summary>
    /// <param name="ring">Its rings.</param>
    /// <param name="hasDriver">Whether a driver is on them already.</param>
    internal void RingOpened(IRingPath ring, bool hasDriver)
    {
        lock (_lock)
        {
            if (_disposed) return;
            // The one before may still complete its requests, its front-end gone.
            if (_ring is not null) _report.RingClosed(_ring);
            _ring = ring;
            _report.RingOpened(ring);
            ring.Mark();
            ring.Gate.Set(TransitionTable.Of(_state).Ring);
            if (hasDriver) Apply(Continue);
        }
    }

    /// <summary>The ring's session has closed.</summary>
    internal void RingClosed(IRingPath ring)
    {
        lock (_lock)
        {
            if (!ReferenceEquals(_ring, ring)) return;
            _report.RingClosed(ring);
            ring.Gate.Set(RingOrder.Serve);
            _ring = null;
            Apply(Close);
        }
    }

    /// <summary>The ring's driver is ready; its rings start afterwards.</summary>
    /// <param name="continues">Whether it is the same driver as before.</param>
    internal void DriverReady(bool continues)
    {
        lock (_lock)
        {
            var use = IsUsed;
            Apply(continues ? Continue : !_trap.Gate.IsInterruptDriven ? StartAfterPolling : use ? StartAfterUse : StartAfterProbe);
        }
    }

    /// <summary>The ring's device was reset.</summary>
    internal void RingReset() => Tell(Reset);

    /// <summary>A ring has a chain that was published after the mark.</summary>
    internal void OldKernelLives()
    {
        lock (_lock) Apply(IsUsed ? AliveAfterUse : Alive);
    }

    /// <summary>A ring has failed a request by its order.</summary>
    internal void RingFailed()
    {
        lock (_lock) _report.RingFailed(_state);
    }

    /// <summary>The guest can have no transition.</summary>
    internal void TurnOff(string why)
    {
        lock (_lock)
        {
            if (_state == PairState.Off || _disposed) return;
            _report.Why = why;
            Apply(PairEvent.TurnOff);
        }
    }

    /// <summary>The trap path's session has closed: the ring is served as without a transition.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            _timer.Dispose();
            _ring?.Gate.Set(RingOrder.Serve);
            _ring?.Wake();
            _ring = null;
        }
    }

    private bool IsUsed => _trap.Gate.IsInterruptDriven && _trap.Gate.BytesRead - _bytesReadBefore > _probeLimit;

    private void Tell(PairEvent what)
    {
        lock (_lock) Apply(what);
    }

    private void OnTimer(int number)
    {
        lock (_lock)
        {
            if (_timer.IsCurrent(number)) Apply(PairEvent.Timeout);
        }
    }

    private bool MayTrapWrite(SharedFlag aborted)
    {
        IRingPath ring;
        int word;
        lock (_lock)
        {
            if (_state == PairState.Enumerated && _ring?.HasPublished() == true) Apply(IsUsed ? AliveAfterUse : Alive);
            else Apply(TrapWrite);
            if (!TransitionTable.Of(_state).TrapWrites)
            {
                _report.TrapFailed(_state);
                return false;
            }
            if (!_awaitsRing) return true;
            if (_ring is null)
            {
                OpenTrap();
                return true;
            }
            ring = _ring;
            word = ring.Gate.Word;
        }
        return AwaitRing(ring, word, aborted);
    }

    // Outside the lock: the disk may take long.
    private bool AwaitRing(IRingPath ring, int word, SharedFlag aborted)
    {
        while (!ring.IsQuiet(word) && ring.Gate.Word == word)
        {
            if (aborted.IsRaised) return false;
            Thread.Sleep(1);
        }
        lock (_lock)
        {
            if (_state == PairState.Stopped && _awaitsRing) OpenTrap();
            return _trap.Gate.MayWrite;
        }
    }

    private void OpenTrap()
    {
        _awaitsRing = false;
        _trap.Gate.MayWrite = true;
    }

    private void Apply(PairEvent what)
    {
        if (_disposed) return;
        var before = _state;
        _state = TransitionTable.Next(before, what);
        _timer.Follow(_state, what);
        if (_state == before) return;
        Enter(what);
        _report.Changed(before, _state, what, _trap.Gate);
    }

    // The order matters: a path loses the right to write before the other gets it.
    private void Enter(PairEvent what)
    {
        var now = TransitionTable.Of(_state);
        _awaitsRing = _state == PairState.Stopped && _ring is not null;
        // Writes in flight when a driver starts complete, while the ring is held; those of a device that a live kernel has enumerated fail.
        var isCompleting = _state == PairState.Unplugging && what is (StartAfterPolling or StartAfterProbe);
        _trap.Gate.MayWrite = isCompleting || (now.TrapWrites && !_awaitsRing);
        _ring?.Gate.Set(now.Ring);
        _ring?.Wake();
        if (what == PairEvent.Timeout) BeginEpoch();
        if (now.HasTrapDisk) _trap.Plug();
        else if (_trap.Unplug() && _state == PairState.Unplugging) Follow(Unplugged);
    }

    private void Follow(PairEvent what)
    {
        _state = TransitionTable.Next(_state, what);
        _trap.Gate.MayWrite = TransitionTable.Of(_state).TrapWrites;
        _ring?.Gate.Set(TransitionTable.Of(_state).Ring);
        _ring?.Wake();
    }

    private void BeginEpoch()
    {
        _bytesReadBefore = _trap.Gate.BytesRead;
        _requestsBefore = _trap.Gate.Requests;
    }
}
