using VmShunt.Ring.Interop;

namespace VmShunt.HostPartition;

/// <summary>
/// Accepts connections on one socket and serves each on a thread of its own, any number at a time. Disposing ends the
/// sessions and waits for them.
/// </summary>
internal sealed class SessionListener : IDisposable
{
    // Each session has a thread and descriptors: a peer that connects without end must not take them all.
    private const int MaxSessions = 512;
    private const int PauseMilliseconds = 100;

    private readonly UnixListener _listener;
    private readonly Action<UnixConnection> _serve;
    private readonly EventFd _stop = EventFd.Create();
    private readonly Dictionary<UnixConnection, Thread> _sessions = [];
    private readonly Action<int> _countChanged;
    private readonly Thread _accepting;

    /// <param name="path">Where to listen.</param>
    /// <param name="serve">Serves one connection on the calling thread until it ends.</param>
    /// <param name="countChanged">Told of +1 and −1 as sessions come and go.</param>
    internal SessionListener(string path, Action<UnixConnection> serve, Action<int> countChanged)
    {
        _listener = UnixListener.Bind(path);
        _serve = serve;
        _countChanged = countChanged;
        _accepting = new Thread(Accept) { IsBackground = true, Name = $"accept {Path.GetFileName(path)}" };
        _accepting.Start();
    }

    public void Dispose()
    {
        _stop.Signal();
        _accepting.Join();
        _listener.Dispose();
        Thread[] threads;
        lock (_sessions)
        {
            foreach (var connection in _sessions.Keys) connection.Shutdown();
            threads = [.. _sessions.Values];
        }
        foreach (var thread in threads) thread.Join();
        _stop.Dispose();
    }

    private void Accept()
    {
        using var wait = new WaitSet(_stop.Handle, _listener.Handle);
        using var pause = new WaitSet(_stop.Handle);
        while (wait.Wait() && !wait.IsReady(0))
        {
            UnixConnection connection;
            try
            {
                connection = _listener.Accept();
            }
            catch (IOException)
            {
                // The peer gave up before it was accepted, or descriptors are short: a moment later it may go better.
                pause.Wait(PauseMilliseconds);
                continue;
            }
            if (IsFull())
            {
                connection.Dispose();
                continue;
            }
            var thread = new Thread(() => Serve(connection)) { IsBackground = true, Name = "session" };
            lock (_sessions) _sessions.Add(connection, thread);
            _countChanged(1);
            thread.Start();
        }
    }

    private bool IsFull()
    {
        lock (_sessions) return _sessions.Count >= MaxSessions;
    }

    private void Serve(UnixConnection connection)
    {
        try
        {
            _serve(connection);
        }
        finally
        {
            lock (_sessions) _sessions.Remove(connection);
            connection.Dispose();
            _countChanged(-1);
        }
    }
}
