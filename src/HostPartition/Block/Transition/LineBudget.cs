namespace VmShunt.BlockBackend.Transition;

/// <summary>How many lines a guest may cause: a guest that changes its state in a loop must not flood the log. One thread at a time.</summary>
internal sealed class LineBudget(TimeProvider time)
{
    // A boot with firmware, or a crash, has fewer changes than this; a change that lasts takes seconds.
    private const int Most = 20;

    private static readonly TimeSpan s_perLine = TimeSpan.FromSeconds(1);

    private int _left = Most;
    private long _since = time.GetTimestamp();

    /// <summary>Takes a line from the budget.</summary>
    /// <returns>False: none is left.</returns>
    internal bool TryTake()
    {
        var now = time.GetTimestamp();
        var gained = (int)Math.Min(time.GetElapsedTime(_since, now) / s_perLine, Most);
        if (gained > 0)
        {
            _left = Math.Min(_left + gained, Most);
            _since = now;
        }
        if (_left == 0) return false;
        _left--;
        return true;
    }
}
