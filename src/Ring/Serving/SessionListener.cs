using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Serving;

/// <summary>
/// Accepts connections on a Unix socket and serves each on its own thread. It can close the socket and listen again.
/// Disposal stops all sessions and waits for them. Any thread.
/// </summary>
public sealed class SessionListener : IDisposable
{
    // Each session has a thread and descriptors: a peer must not exhaust them.
    private const int MaxSessions = 512;
    private const int PauseMilliseconds = 100;

    // How long the sessions together may take to stop in order when the process exits.
    private const int StopMilliseconds = 5000;

    private readonly string _path;
    private readonly Action<UnixConnection> _serve;
    private readonly Dictionary<UnixConnection, Thread> _sessions = [];
    private readonly Action<int>? _countChanged;
    private readonly Action<string>? _refused;
    private readonly Lock _switching = new();
    private Acceptor? _acceptor;
    private bool _disposed;

    /// <summary>Listens on a path.</summary>
    /// <param name="path">The socket's path.</param>
    /// <param name="serve">Serves a connection on the calling thread until the session closes. It must not throw; the listener closes the connection.</param>
    /// <param name="countChanged">Called with +1 when a session opens and −1 when it closes.</param>
    /// <param name="refused">Called with the reason when a connection is closed without being served.</param>
    /// <exception cref="IOException">The path cannot be bound; the message says why, and what to do.</exception>
    public SessionListener(string path, Action<UnixConnection> serve, Action<int>? countChanged = null, Action<string>? refused = null)
    {
        _path = path;
        _serve = serve;
        _countChanged = countChanged;
        _refused = refused;
        TryListen();
    }

    /// <summary>Listens.</summary>
    /// <returns>False when it listens already.</returns>
    /// <exception cref="IOException">The path cannot be bound: another process may use it.</exception>
    public bool TryListen()
    {
        lock (_switching)
        {
            if (_acceptor is not null || _disposed) return false;
            _acceptor = new Acceptor(this);
            return true;
        }
    }

    /// <summary>
    /// Closes and removes the socket, and signals every session to stop. Does not wait for them: a session closes its
    /// connection when its requests in flight are completed, and not before.
    /// </summary>
    /// <returns>False when it was not listening.</returns>
    public bool TryWithdraw()
    {
        lock (_switching)
        {
            if (_acceptor is null) return false;
            StopListening();
        }
        return true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_switching)
        {
            _disposed = true;
            StopListening();
        }
        Thread[] threads;
        lock (_sessions) threads = [.. _sessions.Values];
        var deadline = Environment.TickCount64 + StopMilliseconds;
        if (!threads.All(thread => thread.Join((int)Math.Max(0, deadline - Environment.TickCount64))))
        {
            // A peer that does not read replies would block a session forever.
            lock (_sessions) foreach (var connection in _sessions.Keys) connection.Shutdown();
        }
        foreach (var thread in threads) thread.Join();
    }

    private void StopListening()
    {
        _acceptor?.Dispose();
        _acceptor = null;
        lock (_sessions)
        {
            // Only the receiving half: when the peer sees the connection closed, it may reuse its memory, so the session must have
            // released that first.
            foreach (var connection in _sessions.Keys) connection.TryShutdownReceive();
        }
    }

    private bool IsFull()
    {
        lock (_sessions) return _sessions.Count >= MaxSessions;
    }

    private void Start(UnixConnection connection)
    {
        if (IsFull())
        {
            connection.Dispose();
            _refused?.Invoke($"{MaxSessions} sessions are open, the most that a socket serves");
            return;
        }
        var thread = new Thread(() => Serve(connection)) { IsBackground = true, Name = "session" };
        lock (_sessions) _sessions.Add(connection, thread);
        _countChanged?.Invoke(1);
        thread.Start();
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
            _countChanged?.Invoke(-1);
        }
    }

    /// <summary>The listening socket and its accept thread.</summary>
    private sealed class Acceptor : IDisposable
    {
        private readonly SessionListener _owner;
        private readonly UnixListener _listener;
        private readonly EventFd _stop = EventFd.Create();
        private readonly Thread _thread;

        internal Acceptor(SessionListener owner)
        {
            _owner = owner;
            _listener = UnixListener.Bind(owner._path);
            _thread = new Thread(Run) { IsBackground = true, Name = $"accept {Path.GetFileName(owner._path)}" };
            _thread.Start();
        }

        public void Dispose()
        {
            _stop.Signal();
            _thread.Join();
            _listener.Dispose();
            _stop.Dispose();
        }

        private void Run()
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
                    // The peer closed the connection before it was accepted, or the process is out of descriptors: retry later.
                    pause.Wait(PauseMilliseconds);
                    continue;
                }
                _owner.Start(connection);
            }
        }
    }
}
