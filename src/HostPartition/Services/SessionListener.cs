using VmShunt.Ring.Interop;

namespace VmShunt.HostPartition.Services;

/// <summary>
/// Accepts connections on one socket and serves each on a thread of its own, any number at a time. It can stop to listen
/// and begin again. Disposing ends the sessions and waits for them. Any thread.
/// </summary>
internal sealed class SessionListener : IDisposable
{
    // Each session has a thread and descriptors: a peer that connects without end must not take them all.
    private const int MaxSessions = 512;
    private const int PauseMilliseconds = 100;

    // How long the sessions together may take to end in order when the process ends.
    private const int EndMilliseconds = 5000;

    private readonly string _path;
    private readonly Action<UnixConnection> _serve;
    private readonly Dictionary<UnixConnection, Thread> _sessions = [];
    private readonly Action<int> _countChanged;
    private readonly Lock _switching = new();
    private Accepting? _accepting;
    private bool _disposed;

    /// <param name="path">Where to listen.</param>
    /// <param name="serve">Serves one connection on the calling thread until it ends.</param>
    /// <param name="countChanged">Told of +1 and −1 as sessions come and go.</param>
    internal SessionListener(string path, Action<UnixConnection> serve, Action<int> countChanged)
    {
        _path = path;
        _serve = serve;
        _countChanged = countChanged;
        TryListen();
    }

    /// <summary>Listens, if it does not.</summary>
    /// <returns>False when it did already.</returns>
    /// <exception cref="IOException">The path is taken by somebody else by now.</exception>
    internal bool TryListen()
    {
        lock (_switching)
        {
            if (_accepting is not null || _disposed) return false;
            _accepting = new Accepting(this);
            return true;
        }
    }

    /// <summary>
    /// Stops to listen, removes the socket, and has every session end in order. Does not wait for them: a session ends
    /// when what it has begun is done, and its peer sees the end then and not before.
    /// </summary>
    /// <returns>False when it did not listen.</returns>
    internal bool TryWithdraw()
    {
        lock (_switching)
        {
            if (_accepting is null) return false;
            StopListening();
        }
        return true;
    }

    public void Dispose()
    {
        lock (_switching)
        {
            _disposed = true;
            StopListening();
        }
        Thread[] threads;
        lock (_sessions) threads = [.. _sessions.Values];
        var deadline = Environment.TickCount64 + EndMilliseconds;
        if (!threads.All(thread => thread.Join((int)Math.Max(0, deadline - Environment.TickCount64))))
        {
            // A peer that reads no answers would hold up the end for ever.
            lock (_sessions) foreach (var connection in _sessions.Keys) connection.Shutdown();
        }
        foreach (var thread in threads) thread.Join();
    }

    private void StopListening()
    {
        _accepting?.Dispose();
        _accepting = null;
        lock (_sessions)
        {
            // Only the receiving half: a peer that saw the connection end before the session did would take its memory for free.
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
            return;
        }
        var thread = new Thread(() => Serve(connection)) { IsBackground = true, Name = "session" };
        lock (_sessions) _sessions.Add(connection, thread);
        _countChanged(1);
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
            _countChanged(-1);
        }
    }

    /// <summary>The socket while it is listened on, and the thread that accepts.</summary>
    private sealed class Accepting : IDisposable
    {
        private readonly SessionListener _owner;
        private readonly UnixListener _listener;
        private readonly EventFd _stop = EventFd.Create();
        private readonly Thread _thread;

        internal Accepting(SessionListener owner)
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
                    // The peer gave up before it was accepted, or descriptors are short: a moment later it may go better.
                    pause.Wait(PauseMilliseconds);
                    continue;
                }
                _owner.Start(connection);
            }
        }
    }
}
