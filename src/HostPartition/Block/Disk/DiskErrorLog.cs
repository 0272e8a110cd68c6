using Microsoft.Extensions.Logging;
using VmShunt.BlockBackend.Log;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Disk;

/// <summary>
/// Logs a disk's errors: the first at once, then at most one per second with the number of errors left out since, so that
/// a failing disk under load does not flood the log. Any thread; no lock.
/// </summary>
internal sealed class DiskErrorLog(string disk, ILogger log, TimeProvider time) : IDisposable
{
    private const long Never = long.MinValue;

    private static readonly TimeSpan s_pause = TimeSpan.FromSeconds(1);

    private long _lastLogged = Never;
    private long _leftOut;

    internal void Failed(string error)
    {
        var now = time.GetTimestamp();
        // The order does not matter: a stale value makes the exchange fail.
        var last = Ordered.Load(ref _lastLogged);
        // Of several threads at once, one logs its error and the others are counted.
        var logs = (last == Never || time.GetElapsedTime(last, now) >= s_pause) && Interlocked.CompareExchange(ref _lastLogged, now, last) == last;
        if (!logs)
        {
            Interlocked.Increment(ref _leftOut);
            return;
        }
        var leftOut = Interlocked.Exchange(ref _leftOut, 0);
        if (leftOut == 0) log.DiskFailed(disk, error);
        else log.DiskFailedMore(disk, error, leftOut);
    }

    /// <summary>Logs the number of errors left out since the last line.</summary>
    public void Dispose()
    {
        var leftOut = Interlocked.Exchange(ref _leftOut, 0);
        if (leftOut > 0) log.DiskErrorsLeftOut(disk, leftOut);
    }
}
