using VmShunt.Ring.Memory;

namespace VmShunt.Guest.Crash;

/// <summary>
/// Stops the kernel's threads when the machine crashes, as a non-maskable interrupt stops processors: each looks at its
/// next step, and none goes on. Looking costs a load.
/// </summary>
internal sealed class CrashStop
{
    private readonly SharedFlag _crashed = new();
    private int _parked;

    internal bool IsCrashed => _crashed.IsRaised;

    /// <summary>How many threads have stopped.</summary>
    internal int Parked => Interlocked.CompareExchange(ref _parked, 0, 0);

    /// <summary>The machine is dead from here on.</summary>
    /// <returns>False when it was already.</returns>
    internal bool TryRaise()
    {
        if (IsCrashed) return false;
        _crashed.Raise();
        return true;
    }

    /// <summary>Called by every kernel thread between two steps. Does not return after a crash.</summary>
    internal void ParkIfCrashed()
    {
        if (_crashed.IsRaised) Park();
    }

    private void Park()
    {
        Interlocked.Increment(ref _parked);
        Thread.Sleep(Timeout.Infinite);
    }
}
