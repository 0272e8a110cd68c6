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

    private readonly WaitPolicy _policy;
    private readonly long _ticks;
    private long _deadline;
    private int _looks;

    /// <summary>A waiter of a policy.</summary>
    public SpinBudget(WaitPolicy policy, TimeSpan spin)
    {
        _policy = policy;
        _ticks = (long)(spin.TotalSeconds * Stopwatch.Frequency);
    }

    /// <summary>Work was found: the budget is whole again.</summary>
    public void Refill() => _looks = 0;

    /// <summary>Takes one look from the budget.</summary>
    /// <returns>True to look again, false to arm, look once more and sleep.</returns>
    public bool TrySpin()
    {
        if (_policy == WaitPolicy.Busy) return true;
        if (_policy == WaitPolicy.Never) return false;
        if (_looks == 0) _deadline = Stopwatch.GetTimestamp() + _ticks;
        _looks++;
        return _looks % LooksPerClock != 0 || Stopwatch.GetTimestamp() < _deadline;
    }
}
