using Microsoft.Extensions.Logging;
using VmShunt.HostPartition.Log;
using VmShunt.Ring.Memory;

namespace VmShunt.HostPartition.Disk;

/// <summary>
/// Where writes wait while the host's disk is full (<c>--on-full wait</c>). Says so once when the first begins to wait, and
/// once when they go on. Any number of threads.
/// </summary>
internal sealed class NoSpaceWait(string disk, ILogger log)
{
    // How soon a wait that is given up ends, and how often the write is tried again.
    private const int LookMilliseconds = 50, LooksPerTry = 10;

    private readonly Lock _lock = new();
    private int _waiting;
    private long _since;

    /// <summary>A write has met a full disk.</summary>
    internal void Begin(string error)
    {
        lock (_lock)
        {
            if (_waiting++ > 0) return;
            _since = TimeProvider.System.GetTimestamp();
            log.DiskFull(disk, error);
        }
    }

    /// <summary>Blocks until it is time to try again.</summary>
    /// <returns>False when the caller should give up.</returns>
    internal static bool TryAwait(SharedFlag stop)
    {
        for (var looks = 0; looks < LooksPerTry; looks++)
        {
            if (stop.IsRaised) return false;
            Thread.Sleep(LookMilliseconds);
        }
        return !stop.IsRaised;
    }

    /// <summary>A write that waited is over.</summary>
    /// <param name="isDone">It was done; otherwise it failed in another way, or its front end stops.</param>
    internal void End(bool isDone)
    {
        lock (_lock)
        {
            if (--_waiting > 0) return;
            var seconds = TimeProvider.System.GetElapsedTime(_since).TotalSeconds;
            if (isDone) log.DiskHasRoom(disk, seconds);
            else log.DiskFullGivenUp(disk, seconds);
        }
    }
}
