using VmShunt.Ring.Memory;

namespace VmShunt.BlockDriver.Requests;

/// <summary>
/// Stops the kernel's threads when the machine crashes, as a non-maskable interrupt stops processors: each looks at its
/// next step, and none goes on. Looking costs a load. Of several threads that crash only the first is heard.
/// </summary>
internal sealed class CrashGate
{
    [ThreadStatic]
    private static bool t_running;

    private readonly SharedFlag _crashed = new();
    private int _first;
    private int _running;
    private int _parked;

    internal bool IsCrashed => _crashed.IsRaised;

    /// <summary>How many threads have stopped.</summary>
    internal int Parked => Interlocked.CompareExchange(ref _parked, 0, 0);

    /// <summary>The calling thread runs the kernel from now on, and will look; until <see cref="Leave"/>, as before it sleeps.</summary>
    internal void Enter()
    {
        if (t_running) return;
        t_running = true;
        Interlocked.Increment(ref _running);
    }

    /// <summary>The calling thread runs nothing for now.</summary>
    /// <returns>Whether it did.</returns>
    internal bool Leave()
    {
        if (!t_running) return false;
        t_running = false;
        Interlocked.Decrement(ref _running);
        return true;
    }

    /// <summary>The machine is dead from here on. The thread that says so first runs the crash, outside of the kernel.</summary>
    /// <returns>False when it was dead already.</returns>
    internal bool TryRaise()
    {
        if (Interlocked.Exchange(ref _first, 1) != 0) return false;
        Leave();
        _crashed.Raise();
        return true;
    }

    /// <summary>Waits until every thread that runs has stopped, though not for one that hangs. Allocates nothing.</summary>
    internal void WaitForParked(int milliseconds)
    {
        for (var waited = 0; waited < milliseconds && Parked < Interlocked.CompareExchange(ref _running, 0, 0); waited++) Thread.Sleep(1);
    }

    /// <summary>Called by every kernel thread between two steps. Does not return after a crash.</summary>
    internal void ParkIfCrashed()
    {
        if (_crashed.IsRaised) Park();
    }

    /// <summary>Stops the calling thread for good.</summary>
    internal void Park()
    {
        Interlocked.Increment(ref _parked);
        Thread.Sleep(Timeout.Infinite);
    }
}
