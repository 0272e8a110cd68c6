namespace VmShunt.HostPartition.Disk;

/// <summary>
/// Whether a completed write may wait for a flush to become durable. Each front end has a switch of its own (virtio:
/// CONFIG_WCE; ATA: SET FEATURES), but they share one disk, and a request may move from one road to the other: as long as
/// any of them wants every write durable, every write is. Any thread.
/// </summary>
/// <param name="exists">False when no front end gets one (<c>--cache writethrough</c>).</param>
internal sealed class WriteCache(bool exists)
{
    private int _off;

    /// <summary>Whether front ends may have one; they start with it then.</summary>
    internal bool Exists { get; } = exists;

    /// <summary>Whether a write must be flushed before it completes.</summary>
    internal bool MustFlush => !Exists || _off != 0;

    internal void Count(bool off)
    {
        if (off) Interlocked.Increment(ref _off);
        else Interlocked.Decrement(ref _off);
    }
}
