namespace VmShunt.Ring.Interop;

/// <summary>
/// How much of a core that others want the calling thread gets (nice(7)). Taking more than one had is a privilege
/// (CAP_SYS_NICE, RLIMIT_NICE); who does not have it stays as it was.
/// </summary>
public sealed class ThreadNice
{
    private const int ThisThread = 0, Heaviest = -20;

    // What each step of nice multiplies a thread's weight by.
    private const double Step = 1.25;

    private readonly int _own = Libc.GetPriority(Libc.PRIO_PROCESS, ThisThread);
    private int _nice;
    private bool _isRefused;

    /// <summary>The calling thread's, which alone may use it.</summary>
    public ThreadNice() => _nice = _own;

    /// <summary>Has the thread weigh as much as that many as it was at first; as close as the system allows.</summary>
    public void Become(int threads)
    {
        var nice = Math.Max(_own - (int)Math.Log(Math.Max(1, threads), Step), Heaviest);
        if (nice == _nice || _isRefused) return;
        _isRefused = Libc.SetPriority(Libc.PRIO_PROCESS, ThisThread, nice) != 0;
        if (!_isRefused) _nice = nice;
    }
}
