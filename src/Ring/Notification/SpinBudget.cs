using System.Diagnostics;

namespace VmShunt.Ring.Notification;

/// <summary>
/// Decides between looking again and going to sleep. A wake-up costs tens of microseconds, so an adaptive waiter spins
/// about as long as a wake-up would take and is never worse than twice the better choice. One thread.
/// </summary>
public struct SpinBudget
{
    /// <summary>What an adaptive waiter spins by default.</summary>
    public static readonly TimeSpan DefaultSpin = TimeSpan.FromMicroseconds(100);

    // The clock costs more than a look at the ring, so it is read once in so many looks.
    private const int LooksPerClock = 32;

    private static readonly long s_politeAfter = Stopwatch.Frequency / 200_000;

    private readonly WaitPolicy _policy;
    private readonly long _ticks;
    private readonly bool _mayMove;
    private CoreContention _crowding;
    private long _start;
    private int _looks;

    /// <summary>A waiter of a policy.</summary>
    /// <param name="policy">How it waits.</param>
    /// <param name="spin">How long an adaptive waiter spins.</param>
    /// <param name="mayMove">Whether it leaves a core that it shares with its peer; for one side of a ring.</param>
    public SpinBudget(WaitPolicy policy, TimeSpan spin, bool mayMove)
    {
        _mayMove = mayMove;
        _policy = policy;
        _ticks = (long)(spin.TotalSeconds * Stopwatch.Frequency);
    }

    /// <summary>
    /// Whether it gives its core up only after the whole of what an adaptive waiter spins, instead of after a few microseconds:
    /// for who serves more peers than there are cores. Whichever of them had the core then would keep it for a slice of
    /// time, and all others would wait.
    /// </summary>
    public bool KeepsCore { readonly get; set; }

    /// <summary>Work was found: the budget is whole again.</summary>
    public void Refill() => _looks = 0;

    /// <summary>Takes one look from the budget.</summary>
    /// <returns>True to look again, false to arm, look once more and sleep.</returns>
    public bool TrySpin()
    {
        if (_policy == WaitPolicy.Never) return false;
        if (_looks == 0) _start = Stopwatch.GetTimestamp();
        if (++_looks % LooksPerClock != 0) return true;
        var now = Stopwatch.GetTimestamp();
        var spent = now - _start;
        if (spent < (KeepsCore ? _ticks : s_politeAfter)) return true;
        if (_policy == WaitPolicy.Adaptive && spent >= _ticks) return false;
        // The peer may have been woken on this very core: spinning on would keep it from what is waited for.
        Thread.Yield();
        if (_mayMove) _crowding.NoteYield(now, Stopwatch.GetTimestamp());
        return true;
    }
}
