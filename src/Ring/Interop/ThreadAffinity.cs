namespace VmShunt.Ring.Interop;

/// <summary>Pins the calling thread to a core. Threads and processes started afterwards by it inherit the pin.</summary>
public static unsafe class ThreadAffinity
{
    private const int MaskWords = 16;
    private const int MaskBytes = MaskWords * sizeof(ulong);

    /// <summary>Pins the calling thread.</summary>
    /// <param name="core">The core's number, 0 to 1023.</param>
    /// <returns>False when the core does not exist or is not allowed to this process.</returns>
    public static bool TryPin(int core)
    {
        if ((uint)core >= MaskBytes * 8) return false;
        var mask = stackalloc ulong[MaskWords];
        new Span<ulong>(mask, MaskWords).Clear();
        mask[core / 64] = 1UL << (core % 64);
        return Libc.SchedSetAffinity(0, MaskBytes, mask) == 0;
    }

    /// <summary>
    /// Moves the calling thread to another core that it may run on; where it may run stays as it was. For a thread that
    /// finds itself on the core of the very peer that it is waiting for, which the scheduler takes long to part.
    /// </summary>
    /// <returns>False when there is no other core for it.</returns>
    public static bool TryLeaveCore()
    {
        var allowed = stackalloc ulong[MaskWords];
        var others = stackalloc ulong[MaskWords];
        new Span<ulong>(allowed, MaskWords).Clear();
        if (Libc.SchedGetAffinity(0, MaskBytes, allowed) < 0) return false;
        new Span<ulong>(allowed, MaskWords).CopyTo(new Span<ulong>(others, MaskWords));
        var core = Libc.SchedGetCpu();
        if ((uint)core >= MaskBytes * 8) return false;
        others[core / 64] &= ~(1UL << (core % 64));
        return Libc.SchedSetAffinity(0, MaskBytes, others) == 0 && Libc.SchedSetAffinity(0, MaskBytes, allowed) == 0;
    }
}
