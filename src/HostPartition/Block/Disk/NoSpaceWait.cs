using Microsoft.Extensions.Logging;
using VmShunt.BlockBackend.Log;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Disk;

/// <summary>
/// Blocks writes while the host's disk is full (<c>--on-full wait</c>). Logs once when the first write blocks and once when
/// none does any more. Any thread.
/// </summary>
internal sealed class NoSpaceWait(string disk, ILogger log)
{
    // A cancelled wait ends within one poll; the write is retried after ten.
    private const int PollMilliseconds = 50, PollsPerRetry = 10;

    private readonly Lock _lock = new();
    private int _waiting;
    private long _since;

    /// <summary>Notes that a write failed because the disk is full.</summary>
    internal void Begin(string error)
    {
        lock (_lock)
        {
            if (_waiting++ > 0) return;
            _since = TimeProvider.System.GetTimestamp();
            log.DiskFull(disk, error);
        }
    }

    /// <summary>Blocks until the write is to be retried.</summary>
    /// <returns>False when the wait was cancelled.</returns>
    internal static bool TryAwait(SharedFlag stop)
    {
        for (var polls = 0; polls < PollsPerRetry; polls++)
        {
            if (stop.IsRaised) return false;
            Thread.Sleep(PollMilliseconds);
        }
        return !stop.IsRaised;
    }

    /// <summary>Notes that a write no longer waits.</summary>
    /// <param name="isWritten">Whether it succeeded; otherwise it failed with another error, or was cancelled.</param>
    internal void End(bool isWritten)
    {
        lock (_lock)
        {
            if (--_waiting > 0) return;
            var seconds = TimeProvider.System.GetElapsedTime(_since).TotalSeconds;
            if (isWritten) log.DiskHasRoom(disk, seconds);
            else log.DiskFullGivenUp(disk, seconds);
        }
    }
}
