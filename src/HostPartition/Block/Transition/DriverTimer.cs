using static VmShunt.BlockBackend.Transition.PairEvent;
using static VmShunt.BlockBackend.Transition.PairState;

namespace VmShunt.BlockBackend.Transition;

/// <summary>The limits within which a driver must come. Under the lock of its transition.</summary>
/// <param name="time">The clock.</param>
/// <param name="elapsed">Called when a limit is over, on another thread, with the number of the limit.</param>
internal sealed class DriverTimer(TimeProvider time, Action<int> elapsed) : IDisposable
{
    private ITimer? _timer;
    private int _number;

    /// <summary>Whether a limit was neither replaced nor lifted.</summary>
    internal bool IsCurrent(int number) => _timer is not null && _number == number;

    /// <summary>Sets or lifts the limit.</summary>
    /// <param name="now">The state after an event.</param>
    /// <param name="what">The event.</param>
    internal void Follow(PairState now, PairEvent what)
    {
        switch (what)
        {
            case Reset or UnusedReset when now is Resetting or SharedLeaving:
                Start(GuestTransition.ResetLimit);
                break;
            case Close when now is Away or SharedLeaving or Enumerated:
                // A reset's limit is the shorter one.
                if (_timer is null) Start(GuestTransition.AwayLimit);
                break;
            default:
                if (what == Continue || now is not (Resetting or Away or SharedLeaving or Enumerated)) Dispose();
                break;
        }
    }

    public void Dispose()
    {
        _timer?.Dispose();
        _timer = null;
    }

    private void Start(TimeSpan limit)
    {
        Dispose();
        var number = ++_number;
        _timer = time.CreateTimer(_ => elapsed(number), null, limit, System.Threading.Timeout.InfiniteTimeSpan);
    }
}
