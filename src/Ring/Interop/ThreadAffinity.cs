namespace VmShunt.Ring.Interop;

/// <summary>Pins the calling thread to a core. Threads and processes started afterwards by it inherit the pin.</summary>
public static unsafe class ThreadAffinity
{
    /// <summary>Pins the calling thread.</summary>
    /// <param name="core">The core's number, 0 to 1023.</param>
    /// <returns>False when the core does not exist or is not allowed to this process.</returns>
    public static bool TryPin(int core)
    {
        if ((uint)core >= 1024) return false;
        var mask = stackalloc ulong[16];
        new Span<ulong>(mask, 16).Clear();
        mask[core / 64] = 1UL << (core % 64);
        return Libc.SchedSetAffinity(0, 16 * sizeof(ulong), mask) == 0;
    }
}
