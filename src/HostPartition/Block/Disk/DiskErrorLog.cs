using Microsoft.Extensions.Logging;
using VmShunt.BlockBackend.Log;

namespace VmShunt.BlockBackend.Disk;

/// <summary>
/// Logs a disk's errors: the first at once, then at most one per second with the number of errors left out since, so that
/// a failing disk under load does not flood the log. Any thread; no lock.
/// </summary>
internal sealed class DiskErrorLog(string disk, ILogger log, TimeProvider time) : IDisposable
{
    private readonly LogPace _pace = new(TimeSpan.FromSeconds(1), time);

    internal void Failed(string error)
    {
        if (!_pace.TryTake(out var leftOut)) return;
        if (leftOut == 0) log.DiskFailed(disk, error);
        else log.DiskFailedMore(disk, error, leftOut);
    }

    /// <summary>Logs the number of errors left out since the last line.</summary>
    public void Dispose()
    {
        var leftOut = _pace.TakeLeftOut();
        if (leftOut > 0) log.DiskErrorsLeftOut(disk, leftOut);
    }
}
