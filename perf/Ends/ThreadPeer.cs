using VmShunt.Ring.Memory;

namespace VmShunt.Perf.Ends;

/// <summary>The other end on a thread of this process.</summary>
internal sealed class ThreadPeer : Peer
{
    private readonly SharedFlag _stopping = new();
    private readonly Action _wake;
    private readonly Thread _thread;
    private Exception? _failure;

    /// <param name="work">Runs until its flag is raised.</param>
    /// <param name="wake">Wakes the thread if it sleeps, so that it checks the flag.</param>
    internal ThreadPeer(Action<SharedFlag> work, Action? wake = null)
    {
        _wake = wake ?? (static () => { });
        _thread = new Thread(() =>
        {
            try
            {
                work(_stopping);
            }
            catch (InvalidOperationException e)
            {
                _failure = e;
            }
            Exited.Raise();
        })
        { IsBackground = true, Name = "peer" };
        _thread.Start();
    }

    public override void Dispose()
    {
        _stopping.Raise();
        _wake();
        _thread.Join();
        if (_failure is not null) throw new InvalidOperationException($"the other end failed: {_failure.Message}", _failure);
    }
}
