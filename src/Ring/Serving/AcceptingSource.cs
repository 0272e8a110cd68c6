using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Serving;

/// <summary>A listening socket and its accept thread.</summary>
internal sealed class AcceptingSource : SessionSource
{
    private const int PauseMilliseconds = 100;

    private readonly UnixListener _listener;
    private readonly Start _start;
    private readonly EventFd _stop = EventFd.Create();
    private readonly Thread _thread;

    /// <param name="listener">Owned.</param>
    /// <param name="address">For the thread's name.</param>
    /// <param name="start">Starts a session.</param>
    internal AcceptingSource(UnixListener listener, string address, Start start)
    {
        _listener = listener;
        _start = start;
        _thread = new Thread(Run) { IsBackground = true, Name = $"accept {Path.GetFileName(address)}" };
        SystemThread.Start(_thread);
    }

    public override void Dispose()
    {
        _stop.Signal();
        _thread.Join();
        _listener.Dispose();
        _stop.Dispose();
    }

    private void Run()
    {
        SystemThread.ShowName();
        using var wait = new WaitSet(_stop.Handle, _listener.Handle);
        using var pause = new WaitSet(_stop.Handle);
        while (wait.Wait() && !wait.IsReady(0))
        {
            UnixConnection connection;
            try
            {
                connection = _listener.Accept();
            }
            catch (Exception e) when (e is IOException or OutOfMemoryException)
            {
                // The peer closed the connection before it was accepted, or the process is out of descriptors: retry later.
                pause.Wait(PauseMilliseconds);
                continue;
            }
            _start(connection);
        }
    }
}
