using System.Diagnostics;

namespace VmShunt.Ring.Notification;

/// <summary>
/// Decides whether a waiting thread polls again or blocks. A wake-up costs tens of microseconds. An adaptive waiter spins
/// about that long, so it costs at most twice the better choice. Used by one thread.
/// </summary>
public struct SpinBudget
{
    /// <summary>How long an adaptive waiter spins by default.</summary>
    public static readonly TimeSpan DefaultSpin = TimeSpan.FromMicroseconds(100);

    // Reading the clock costs more than polling the ring.
    private const int PollsPerClock = 32;

    private static readonly long s_yieldAfter = Stopwatch.Frequency / 200_000;

    private readonly WaitPolicy _policy;
    private readonly long _ticks;
    private readonly bool _mayMove;
    private CoreContention _contention;
    private long _start;
    private int _polls;

    /// <summary>Makes the budget of one waiting thread.</summary>
    /// <param name="policy">Spin, block, or both.</param>
    /// <param name="spin">How long an adaptive waiter spins.</param>
    /// <param name="mayMove">Whether the thread may leave a core that it shares with its peer; true on one side of a ring at most.</param>
    public SpinBudget(WaitPolicy policy, TimeSpan spin, bool mayMove)
    {
        _mayMove = mayMove;
        _policy = policy;
        _ticks = (long)(spin.TotalSeconds * Stopwatch.Frequency);
    }

    /// <summary>
    /// Whether the thread yields only after the whole spin time instead of after a few microseconds. For a thread that serves
    /// more guests than there are cores: yielding would give one guest a full time slice and stall the rest.
    /// </summary>
    public bool KeepsCore { readonly get; set; }

    /// <summary>Resets the budget after work was found.</summary>
    public void Refill() => _polls = 0;

    /// <summary>Spends one poll.</summary>
    /// <returns>True to poll again; false to arm, poll once more and block.</returns>
    public bool TrySpin()
    {
        if (_policy == WaitPolicy.Never) return false;
        if (_polls == 0) _start = Stopwatch.GetTimestamp();
        if (++_polls % PollsPerClock != 0) return true;
        var now = Stopwatch.GetTimestamp();
        var spent = now - _start;
        if (spent < (KeepsCore ? _ticks : s_yieldAfter)) return true;
        if (_policy == WaitPolicy.Adaptive && spent >= _ticks) return false;
        // The peer may have been woken on this core, where spinning would stall it.
        Thread.Yield();
        if (_mayMove) _contention.NoteYield(now, Stopwatch.GetTimestamp());
        return true;
    }
}
