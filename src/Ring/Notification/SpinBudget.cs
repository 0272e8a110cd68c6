using System.Diagnostics;

namespace VmShunt.Ring.Notification;

/// <summary>
/// Decides whether a waiting thread polls again or blocks. An adaptive waiter learns what spinning gains: where work arrived
/// during its last spins in less time than a wake-up costs, it spins; where it did not, it blocks at once and only tries again
/// from time to time. Used by one thread.
/// </summary>
public struct SpinBudget
{
    /// <summary>How long an adaptive waiter spins at most by default: what a wake-up costs the request that waits for it.</summary>
    public static readonly TimeSpan DefaultSpin = TimeSpan.FromMicroseconds(100);

    // Reading the clock costs more than polling the ring.
    private const int PollsPerClock = 32;

    // The weight of one spin in the average, and how many waits without a spin come before the next trial.
    private const int Weight = 8, WaitsPerTrial = 64;

    // A peer that was not notified for so many pieces of work polls.
    private const int WorkOfPolling = 64;

    private static readonly long s_yieldAfter = Stopwatch.Frequency / 200_000;

    // Beside a peer that sleeps a wake-up is not the longest delay of a request, so a spin saves this thread's own system calls alone.
    private static readonly long s_ownCost = Stopwatch.Frequency / 125_000;

    private static readonly long s_trialPause = Stopwatch.Frequency / 60;

    private readonly WaitPolicy _policy;
    private readonly long _ticks;
    private readonly bool _mayMove;
    private CoreContention _contention;
    private long _start, _spent;

    // When a spin beside a peer that polls was given up; 0 otherwise.
    private long _gaveUp;
    private int _polls;

    // The average gain of a spin in ticks: what the wake-up would have cost, less the spin.
    private long _gain;
    private bool _succeeded, _isRefused;
    private int _waits;
    private long _nextTrial;

    private long _notifications;
    private int _workOfPolling;

    /// <summary>Makes the budget of one waiting thread.</summary>
    /// <param name="policy">Spin, block, or both.</param>
    /// <param name="spin">How long an adaptive waiter spins at most.</param>
    /// <param name="mayMove">Whether the thread may leave a core that it shares with its peer; true on one side of a ring at most.</param>
    public SpinBudget(WaitPolicy policy, TimeSpan spin, bool mayMove)
    {
        _mayMove = mayMove;
        _policy = policy;
        _ticks = (long)(spin.TotalSeconds * Stopwatch.Frequency);
        _workOfPolling = WorkOfPolling;
    }

    /// <summary>
    /// Whether a thread that spins without end yields only after the spin time instead of after a few microseconds. For a thread
    /// that serves more guests than there are cores: yielding would give one guest a full time slice and stall the rest.
    /// </summary>
    public bool KeepsCore { readonly get; set; }

    // What a spin may last, and what one saves that finds work.
    private readonly long Worth => _workOfPolling < WorkOfPolling && s_ownCost < _ticks ? s_ownCost : _ticks;

    /// <summary>Resets the budget after work was found, or after blocking.</summary>
    public void Refill()
    {
        if (_polls == 0) return;
        if (!_isRefused) Learn(Worth - _spent, succeeded: true);
        if (_gaveUp != 0 && _mayMove) _contention.NoteEmptySpin(_gaveUp, Stopwatch.GetTimestamp());
        _gaveUp = 0;
        _polls = 0;
        _spent = 0;
        _isRefused = false;
    }

    /// <summary>As <see cref="Refill()"/>, of a device's thread.</summary>
    /// <param name="notifications">How many notifications the driver has been sent in all: while it asks for them, it sleeps.</param>
    public void Refill(long notifications)
    {
        if (notifications != _notifications) _workOfPolling = 0;
        else if (_workOfPolling < WorkOfPolling) _workOfPolling++;
        _notifications = notifications;
        Refill();
    }

    /// <summary>Spends one poll.</summary>
    /// <returns>True to poll again; false to arm, poll once more and block.</returns>
    public bool TrySpin()
    {
        if (_policy == WaitPolicy.Never || _isRefused) return false;
        if (_polls == 0 && _policy == WaitPolicy.Adaptive && !IsWorthSpinning()) return Refuse();
        if (++_polls % PollsPerClock != 0) return true;
        var now = Stopwatch.GetTimestamp();
        // The clock is first read here: most spins beside a peer that polls are shorter.
        if (_polls == PollsPerClock) _start = now;
        _spent = now - _start;
        if (_policy == WaitPolicy.Busy)
        {
            if (_spent >= (KeepsCore ? _ticks : s_yieldAfter)) Yield(now);
            return true;
        }
        if (_spent < Worth) return true;
        Learn(-_spent, succeeded: false);
        if (Worth == _ticks) _gaveUp = now;
        return Refuse();
    }

    private bool Refuse()
    {
        _polls = 1;
        _isRefused = true;
        return false;
    }

    private bool IsWorthSpinning()
    {
        if (_gain >= 0 || _succeeded) return true;
        var now = Stopwatch.GetTimestamp();
        if (++_waits < WaitsPerTrial && now < _nextTrial) return false;
        _waits = 0;
        _nextTrial = now + s_trialPause;
        return true;
    }

    private void Learn(long gain, bool succeeded)
    {
        // A thread that was not running while it spun says nothing about the peer beyond that it gained nothing.
        _gain += (Math.Clamp(gain, -_ticks, _ticks) - _gain) / Weight;
        _succeeded = succeeded;
    }

    // The peer may have been woken on this core, where spinning would stall it.
    private void Yield(long now)
    {
        Thread.Yield();
        if (_mayMove) _contention.NoteYield(now, Stopwatch.GetTimestamp());
    }
}
