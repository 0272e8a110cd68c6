namespace VmShunt.Ring.Interop;

/// <summary>
/// The weight of the calling thread on a contended core (nice(7)). To raise it is a privilege (CAP_SYS_NICE,
/// RLIMIT_NICE); without it the weight stays as it is.
/// </summary>
public sealed class ThreadNice
{
    private const int ThisThread = 0, Heaviest = -20;

    // The weights of two neighbouring nice values differ by this factor (sched(7)).
    private const double Step = 1.25;

    private readonly int _own = Libc.GetPriority(Libc.PRIO_PROCESS, ThisThread);
    private int _nice;
    private bool _isRefused;

    /// <summary>Reads the calling thread's nice value. Only this thread may use the object.</summary>
    public ThreadNice() => _nice = _own;

    /// <summary>Gives the thread the weight of several threads of its original weight, as close as the system allows.</summary>
    public void SetWeight(int threads)
    {
        var nice = Math.Max(_own - (int)Math.Log(Math.Max(1, threads), Step), Heaviest);
        if (nice == _nice || _isRefused) return;
        _isRefused = Libc.SetPriority(Libc.PRIO_PROCESS, ThisThread, nice) != 0;
        if (!_isRefused) _nice = nice;
    }
}
