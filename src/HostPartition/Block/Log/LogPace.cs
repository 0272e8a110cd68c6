using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Log;

/// <summary>
/// How often one thing is logged: the first time at once, then at most once per pause, with the number of times left out since.
/// Any thread; no lock.
/// </summary>
internal sealed class LogPace(TimeSpan pause, TimeProvider time)
{
    private const long Never = long.MinValue;

    private long _last = Never;
    private long _leftOut;

    /// <summary>Takes the right to a line.</summary>
    /// <param name="leftOut">How often it was refused since the last line.</param>
    /// <returns>False: not yet.</returns>
    internal bool TryTake(out long leftOut)
    {
        var now = time.GetTimestamp();
        // The order does not matter: a stale value makes the exchange fail.
        var last = Ordered.Load(ref _last);
        // Of several threads at once, one logs and the others are counted.
        var isTaken = (last == Never || time.GetElapsedTime(last, now) >= pause) && Interlocked.CompareExchange(ref _last, now, last) == last;
        if (!isTaken) Interlocked.Increment(ref _leftOut);
        leftOut = isTaken ? TakeLeftOut() : 0;
        return isTaken;
    }

    /// <summary>How often it was refused since the last line; counts from 0 again.</summary>
    internal long TakeLeftOut() => Interlocked.Exchange(ref _leftOut, 0);
}
