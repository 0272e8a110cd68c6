using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Disk;

/// <summary>
/// Whether a completed write becomes durable at a flush only. Each front end has its own switch (virtio: CONFIG_WCE; ATA: SET
/// FEATURES), but they share one disk, and a request may change from one path to the other: while the cache is off in one
/// front end, writes of all are durable when they complete. Any thread.
/// </summary>
/// <param name="exists">False for <c>--cache writethrough</c>: no front end has a write cache.</param>
internal sealed class WriteCache(bool exists)
{
    private int _off;

    /// <summary>Whether front ends have a write cache; it is on at first.</summary>
    internal bool Exists { get; } = exists;

    /// <summary>Whether a write must be flushed before it completes.</summary>
    // Acquire and the increment below pair: a write after the cache was turned off sees that.
    internal bool MustFlush => !Exists || Ordered.Load(ref _off) != 0;

    internal void Count(bool off)
    {
        if (off) Interlocked.Increment(ref _off);
        else Interlocked.Decrement(ref _off);
    }
}
