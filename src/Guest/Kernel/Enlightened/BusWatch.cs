using VmShunt.Ring.Memory;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Enlightened;

/// <summary>
/// Makes the guest follow its bus: when a channel is lost, or an interrupt of the hypervisor reports that offers have
/// changed, it runs a settling function on its own thread, with retries.
/// </summary>
internal sealed class BusWatch : IDisposable
{
    private const int FirstRetryMilliseconds = 20, LongestRetryMilliseconds = 2000;

    private readonly AutoResetEvent _changed = new(initialState: false);
    private bool _ending;
    private Thread? _thread;

    /// <summary>Notes a change. Any thread, also the interrupt processor's; never blocks.</summary>
    internal void Note() => _changed.Set();

    /// <summary>Starts the thread.</summary>
    /// <param name="settle">Follows the bus; false when another try may succeed.</param>
    internal void Start(Func<bool> settle)
    {
        _thread = new Thread(() => Run(settle)) { IsBackground = true, Name = "bus watch" };
        _thread.Start();
    }

    /// <summary>Returns when the thread has exited.</summary>
    public void Dispose()
    {
        Ordered.Store(ref _ending, true);
        _changed.Set();
        _thread?.Join();
    }

    private void Run(Func<bool> settle)
    {
        var pause = Timeout.Infinite;
        while (true)
        {
            if (_changed.WaitOne(pause)) pause = Timeout.Infinite;
            if (Ordered.Load(ref _ending)) return;
            try
            {
                if (settle()) pause = Timeout.Infinite;
                else pause = pause == Timeout.Infinite ? FirstRetryMilliseconds : Math.Min(2 * pause, LongestRetryMilliseconds);
            }
            catch (IOException e) when (e is HypervisorLostException or MachineCheckException)
            {
                // The machine has failed; the threads on its processors report it.
                return;
            }
        }
    }
}
