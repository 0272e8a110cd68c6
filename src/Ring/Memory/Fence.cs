namespace VmShunt.Ring.Memory;

/// <summary>The one order that acquire loads and release stores do not provide.</summary>
public static class Fence
{
    /// <summary>
    /// Orders every store before it against every load after it: publish an index, then read the peer's suppression
    /// word (virtio 1.3 §2.7.13.4.1). Costs about twenty nanoseconds; needed
    /// before a thread blocks or decides to notify, never per descriptor.
    /// </summary>
    public static void StoreBeforeLoad() => Interlocked.MemoryBarrier();

    /// <summary>
    /// Does the same in every thread of the process at once (membarrier(2)): a thread that others must not slow down stores
    /// and loads without a fence, and the thread that depends on their order pays for it here, with a system call.
    /// </summary>
    public static void StoreBeforeLoadEverywhere() => Interlocked.MemoryBarrierProcessWide();
}
