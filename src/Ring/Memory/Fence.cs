namespace VmShunt.Ring.Memory;

/// <summary>The one barrier that acquire and release accesses do not give.</summary>
public static class Fence
{
    /// <summary>
    /// Orders every store before it against every load after it: publish an index, then read the peer's suppression
    /// word (virtio 1.3 §2.7.13.4.1). Costs some twenty nanoseconds, so only notification needs it.
    /// </summary>
    public static void StoreBeforeLoad() => Interlocked.MemoryBarrier();
}
