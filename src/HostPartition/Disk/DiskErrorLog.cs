using Microsoft.Extensions.Logging;
using VmShunt.HostPartition.Log;

namespace VmShunt.HostPartition.Disk;

/// <summary>
/// Logs a disk's errors: the first at once, then at most one a second with the number of those that were left out, so that
/// a broken disk under load does not fill another one with its log. Any thread; no lock.
/// </summary>
internal sealed class DiskErrorLog(string disk, ILogger log, TimeProvider time) : IDisposable
{
    private static readonly TimeSpan s_pause = TimeSpan.FromSeconds(1);

    private long _last;
    private bool _any;
    private long _leftOut;

    /// <summary>Notes an error.</summary>
    internal void Failed(string error)
    {
        var now = time.GetTimestamp();
        var last = Interlocked.Read(ref _last);
        // Of threads that come at once, one takes the line and the others are counted.
        var isMine = (!_any || time.GetElapsedTime(last, now) >= s_pause) && Interlocked.CompareExchange(ref _last, now, last) == last;
        if (!isMine)
        {
            Interlocked.Increment(ref _leftOut);
            return;
        }
        _any = true;
        var leftOut = Interlocked.Exchange(ref _leftOut, 0);
        if (leftOut == 0) log.DiskFailed(disk, error);
        else log.DiskFailedMore(disk, error, leftOut);
    }

    /// <summary>Says what no later line will say.</summary>
    public void Dispose()
    {
        var leftOut = Interlocked.Exchange(ref _leftOut, 0);
        if (leftOut > 0) log.DiskErrorsLeftOut(disk, leftOut);
    }
}
