using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Serving;

/// <summary>
/// Accepts connections on a Unix socket and serves each on its own thread. It can close the socket and listen again.
/// Disposal stops all sessions and waits for them. Any thread.
/// </summary>
/// <remarks>
/// An address is a path to listen on; <c>fd:N</c>, a socket that the process was started with, listening or connected; or
/// <c>connect:PATH</c>, a socket on which the front-end listens: the connection is retried, also when a session has closed.
/// </remarks>
public sealed class SessionListener : IDisposable
{
    // Each session has a thread and descriptors: a peer must not exhaust them.
    private const int MaxSessions = 512;

    // How long the sessions together may take to stop in order when the process exits.
    private const int StopMilliseconds = 5000;

    private readonly string _address;
    private readonly Action<UnixConnection> _serve;
    private readonly Dictionary<UnixConnection, Thread> _sessions = [];
    private readonly Action<int>? _countChanged;
    private readonly Action<string>? _refused;
    private readonly Lock _switching = new();
    private SessionSource? _source;
    private bool _disposed, _isSpent;

    /// <summary>Listens on an address.</summary>
    /// <param name="path">The socket's path, or another address.</param>
    /// <param name="serve">Serves a connection on the calling thread until the session closes; the listener closes the connection. What it throws ends the session.</param>
    /// <param name="countChanged">Called with +1 when a session opens and −1 when it closes, on a thread that serves. It must not throw.</param>
    /// <param name="refused">Called with the reason when a connection is closed without being served, or cannot be made yet, or its service threw. It must not throw.</param>
    /// <exception cref="IOException">The address cannot be used; the message says why, and what to do.</exception>
    public SessionListener(string path, Action<UnixConnection> serve, Action<int>? countChanged = null, Action<string>? refused = null)
    {
        _address = path;
        _serve = serve;
        _countChanged = countChanged;
        _refused = refused;
        TryListen();
    }

    /// <summary>Listens.</summary>
    /// <returns>False when it listens already.</returns>
    /// <exception cref="IOException">The address cannot be used: another process may listen there, or an inherited connection was closed.</exception>
    public bool TryListen()
    {
        lock (_switching)
        {
            if (_source is not null || _disposed) return false;
            if (_isSpent) throw new IOException($"{_address} was a connection, which is closed: start this process again with another");
            _source = SessionSource.Open(_address, Start, reason => _refused?.Invoke(reason));
            // The descriptor's number may soon be another one's.
            _isSpent = _source is ConnectedSource;
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
            if (_source is null) return false;
            StopListening();
        }
        return true;
    }

    /// <summary>Whether the calling thread is of one of its sessions, so that it cannot wait for them.</summary>
    public bool IsOnOwnThread => ReferenceEquals(ServingThread.Owner, this);

    /// <summary>Closes the socket, signals every session to stop, and waits for them.</summary>
    /// <exception cref="InvalidOperationException">It is called on a thread of one of the sessions.</exception>
    public void Dispose()
    {
        if (IsOnOwnThread)
            throw new InvalidOperationException($"the listener on {_address} was disposed on a thread of one of its sessions, for which it would wait: dispose it on another thread");
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
        _source?.Dispose();
        _source = null;
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

    private Thread? Start(UnixConnection connection)
    {
        if (IsFull())
        {
            connection.Dispose();
            _refused?.Invoke($"{MaxSessions} sessions are open, the most that a socket serves");
            return null;
        }
        var thread = new Thread(() => Serve(connection)) { IsBackground = true, Name = "session" };
        lock (_sessions) _sessions.Add(connection, thread);
        CountOne();
        try
        {
            SystemThread.Start(thread);
            return thread;
        }
        catch (IOException e)
        {
            lock (_sessions) _sessions.Remove(connection);
            connection.Dispose();
            _countChanged?.Invoke(-1);
            _refused?.Invoke($"a session was refused: {e.Message}");
            return null;
        }
    }

    // On the source's thread, for which disposal waits, too.
    private void CountOne()
    {
        var outer = ServingThread.Owner;
        ServingThread.Owner = this;
        try
        {
            _countChanged?.Invoke(1);
        }
        finally
        {
            ServingThread.Owner = outer;
        }
    }

    private void Serve(UnixConnection connection)
    {
        ServingThread.Owner = this;
        try
        {
            _serve(connection);
        }
        catch (Exception e)
        {
            _refused?.Invoke($"a session ended, because its service threw {e.GetType().Name}: {e.Message}");
        }
        finally
        {
            lock (_sessions) _sessions.Remove(connection);
            connection.Dispose();
            _countChanged?.Invoke(-1);
        }
    }
}
