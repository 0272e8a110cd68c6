using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Enlightened;

/// <summary>
/// Has the guest follow its bus: when a channel was lost, or the hypervisor says by interrupt that offers have come or
/// gone, the mode is looked at anew, on a thread of its own.
/// </summary>
internal sealed class BusWatch : IDisposable
{
    private const int FirstPauseMilliseconds = 20, LongestPauseMilliseconds = 2000;

    private readonly AutoResetEvent _news = new(initialState: false);
    private bool _ending;
    private Thread? _thread;

    /// <summary>Something has changed. Any thread, also an interrupt's; never waits.</summary>
    internal void Note() => _news.Set();

    /// <summary>Starts to watch.</summary>
    /// <param name="settle">Looks, and does what is to be done; false: not done, and worth another try.</param>
    internal void Start(Func<bool> settle)
    {
        _thread = new Thread(() => Run(settle)) { IsBackground = true, Name = "bus watch" };
        _thread.Start();
    }

    /// <summary>Returns when it does nothing any more.</summary>
    public void Dispose()
    {
        Interlocked.Exchange(ref _ending, true);
        _news.Set();
        _thread?.Join();
    }

    private void Run(Func<bool> settle)
    {
        var pause = Timeout.Infinite;
        while (true)
        {
            if (_news.WaitOne(pause)) pause = Timeout.Infinite;
            if (_ending) return;
            try
            {
                if (settle()) pause = Timeout.Infinite;
                else pause = pause == Timeout.Infinite ? FirstPauseMilliseconds : Math.Min(2 * pause, LongestPauseMilliseconds);
            }
            catch (IOException e) when (e is HypervisorLostException or MachineCheckException)
            {
                // The machine is gone; whoever runs on its processors says so.
                return;
            }
        }
    }
}
