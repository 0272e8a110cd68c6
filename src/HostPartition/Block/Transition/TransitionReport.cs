using Microsoft.Extensions.Logging;
using VmShunt.BlockBackend.Log;
using static VmShunt.BlockBackend.Transition.PairEvent;

namespace VmShunt.BlockBackend.Transition;

/// <summary>One line for each change of state, and for the first request that a state fails. Under the lock of its transition.</summary>
internal sealed class TransitionReport(ILogger log, string guest, TimeProvider time)
{
    private readonly LineBudget _lines = new(time);
    private IRingPath? _ring;

    // The requests of closed sessions, and of all at the last line.
    private long _closed, _ringBefore, _trapBefore;
    private bool _hasFailed;

    // Changes without a line; the next line begins with the state of the last one that had one.
    private int _leftOut;
    private string? _lastNamed;

    /// <summary>The reason of a transition that is turned off.</summary>
    internal string Why { get; set; } = "";

    internal void RingOpened(IRingPath ring) => _ring = ring;

    internal void RingClosed(IRingPath ring)
    {
        _closed += ring.Requests;
        _ring = null;
    }

    internal void Changed(PairState before, PairState now, PairEvent what, TrapGate trap)
    {
        if (!_lines.TryTake())
        {
            _lastNamed ??= TransitionTable.Of(before).Name;
            _leftOut++;
            return;
        }
        var onRing = _closed + (_ring?.Requests ?? 0);
        string was = _lastNamed ?? TransitionTable.Of(before).Name, name = TransitionTable.Of(now).Name, reason = ReasonOf(what, before);
        if (_leftOut > 0) reason += $"; {_leftOut} changes before it have no line";
        if (what == PairEvent.TurnOff) log.TransitionIsOff(guest, Why);
        else if (now is PairState.SharedByRing or PairState.SharedByTrap) log.DiskStays(guest, was, name, reason, trap.Requests - _trapBefore, onRing - _ringBefore);
        else log.TransitionChanged(guest, was, name, reason, trap.Requests - _trapBefore, onRing - _ringBefore);
        (_trapBefore, _ringBefore, _hasFailed, _leftOut, _lastNamed) = (trap.Requests, onRing, false, 0, null);
    }

    internal void TrapFailed(PairState state)
    {
        if (!_hasFailed) log.TrapWriteFailed(guest, TransitionTable.Of(state).Name);
        _hasFailed = true;
    }

    internal void RingFailed(PairState state)
    {
        if (!_hasFailed) log.RingRequestFailed(guest, TransitionTable.Of(state).Name);
        _hasFailed = true;
    }

    private static string ReasonOf(PairEvent what, PairState before) => what switch
    {
        Enumeration => "the guest enumerated the emulated disk's controller",
        StartAfterPolling when before is PairState.Emulated or PairState.Written or PairState.Returned => "a driver started on the ring, and only polling users had the emulated disk",
        StartAfterPolling => "a driver started on the ring",
        StartAfterProbe when before == PairState.Written => "a driver started on the ring after another had written to the emulated disk",
        StartAfterProbe => "a driver started on the ring, and another had only probed the emulated disk",
        StartAfterUse => "a driver started on the ring, but another has used the emulated disk before",
        Continue => "the ring's driver continues",
        Alive => "the ring's driver published a request after the enumeration, so its kernel lives",
        AliveAfterUse => "the ring's driver published a request after the enumeration, so its kernel lives, but another driver has used the emulated disk",
        Reset => "the ring's device was reset",
        Close => "the ring's session closed",
        PairEvent.Timeout => "no driver came back to the ring in time",
        TrapWrite when before == PairState.Enumerated => "the emulated disk is written, and nothing shows that the ring's kernel lives",
        TrapWrite => "the emulated disk is written",
        Unplugged => "the emulated disk has disappeared",
        UnusedReset => "the guest was reset, or resumed",
        _ => "",
    };
}
