using VmShunt.Ring.Memory;

namespace VmShunt.BlockDriver.Requests;

/// <summary>
/// Stops a guest's threads when its machine crashes, as an NMI stops processors. Each thread checks the gate between two
/// steps, at the cost of one load, and parks. Only the first thread that crashes runs the crash path. A program without a
/// crash path never raises it.
/// </summary>
public sealed class CrashGate
{
    [ThreadStatic]
    private static bool t_running;

    private readonly SharedFlag _crashed = new();
    private int _raised;
    private int _running;
    private int _parked;

    /// <summary>Whether the machine has crashed.</summary>
    public bool IsCrashed => _crashed.IsRaised;

    /// <summary>The number of threads that have parked.</summary>
    public int Parked => Ordered.Load(ref _parked);

    /// <summary>Marks the calling thread as running kernel code, which a crash waits for, until <see cref="Leave"/>.</summary>
    public void Enter()
    {
        if (t_running) return;
        t_running = true;
        Interlocked.Increment(ref _running);
    }

    /// <summary>Marks the calling thread as idle, for example before it blocks: a crash does not wait for it.</summary>
    /// <returns>Whether it was running.</returns>
    public bool Leave()
    {
        if (!t_running) return false;
        t_running = false;
        Interlocked.Decrement(ref _running);
        return true;
    }

    /// <summary>Crashes the machine. The thread that gets true runs the crash path.</summary>
    /// <returns>False: the machine has crashed already.</returns>
    public bool TryRaise()
    {
        if (Interlocked.Exchange(ref _raised, 1) != 0) return false;
        Leave();
        _crashed.Raise();
        return true;
    }

    /// <summary>Waits until every running thread has parked, or the time is over because one hangs. Allocates nothing.</summary>
    /// <param name="milliseconds">The most to wait.</param>
    public void WaitForParked(int milliseconds)
    {
        // Acquire: what a thread wrote before it parked is in the dump.
        for (var waited = 0; waited < milliseconds && Parked < Ordered.Load(ref _running); waited++) Thread.Sleep(1);
    }

    /// <summary>Called by every kernel thread between two steps. Does not return after a crash.</summary>
    public void ParkIfCrashed()
    {
        if (_crashed.IsRaised) Park();
    }

    /// <summary>Stops the calling thread for good.</summary>
    public void Park()
    {
        Interlocked.Increment(ref _parked);
        Thread.Sleep(Timeout.Infinite);
    }
}
