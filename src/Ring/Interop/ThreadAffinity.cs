namespace VmShunt.Ring.Interop;

/// <summary>The cores that the calling thread may run on. Threads and processes that it starts later inherit them.</summary>
public static class ThreadAffinity
{
    private const int MaskWords = 16;
    private const int MaskBytes = MaskWords * sizeof(ulong);

    /// <summary>Pins the calling thread to a core.</summary>
    /// <param name="core">The core's number, 0 to 1023.</param>
    /// <returns>False when the core does not exist or this process may not use it.</returns>
    public static bool TryPin(int core)
    {
        if ((uint)core >= MaskBytes * 8) return false;
        Span<ulong> mask = stackalloc ulong[MaskWords];
        mask.Clear();
        mask[core / 64] = 1UL << (core % 64);
        return Libc.SchedSetAffinity(0, MaskBytes, in mask[0]) == 0;
    }

    /// <summary>
    /// Moves the calling thread to another of its allowed cores, which stay as they are. For a thread that runs on the same
    /// core as the peer it waits for: the scheduler separates them late.
    /// </summary>
    /// <returns>False when no other core is allowed.</returns>
    public static bool TryLeaveCore()
    {
        Span<ulong> allowed = stackalloc ulong[MaskWords];
        Span<ulong> others = stackalloc ulong[MaskWords];
        allowed.Clear();
        if (Libc.SchedGetAffinity(0, MaskBytes, ref allowed[0]) < 0) return false;
        allowed.CopyTo(others);
        var core = Libc.SchedGetCpu();
        if ((uint)core >= MaskBytes * 8) return false;
        others[core / 64] &= ~(1UL << (core % 64));
        return Libc.SchedSetAffinity(0, MaskBytes, in others[0]) == 0 && Libc.SchedSetAffinity(0, MaskBytes, in allowed[0]) == 0;
    }
}
