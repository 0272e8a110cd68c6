using VmShunt.Ring.Interop;

namespace VmShunt.Trap.VfioUser;

/// <summary>
/// Listens for vfio-user clients and gives each a device and a thread of its own, so that no client can hold another.
/// </summary>
public sealed class VfioUserServer : IDisposable
{
    /// <summary>The most clients at once; further ones are turned away.</summary>
    public const int MaxSessions = 256;

    private readonly UnixListener _listener;
    private readonly Func<VfioInterrupt, IVfioUserDevice> _create;
    private readonly Action<string> _report;
    private readonly EventFd _stop = EventFd.Create();
    private readonly Thread _accepting;
    private readonly Lock _lock = new();
    private readonly Dictionary<VfioUserSession, Thread> _sessions = [];
    private bool _stopped;

    /// <summary>Starts to listen.</summary>
    /// <param name="path">The socket.</param>
    /// <param name="create">Makes the device for a new client; on the accepting thread, so it must not block.</param>
    /// <param name="report">Gets a line for people when something about a client is worth one. Any thread.</param>
    /// <exception cref="IOException">The path cannot be listened on.</exception>
    public VfioUserServer(string path, Func<VfioInterrupt, IVfioUserDevice> create, Action<string>? report = null)
    {
        _create = create;
        _report = report ?? (_ => { });
        _listener = UnixListener.Bind(path);
        _accepting = new Thread(Accept) { IsBackground = true, Name = "vfio-user accept" };
        _accepting.Start();
    }

    /// <summary>How many clients are connected.</summary>
    public int SessionCount
    {
        get
        {
            lock (_lock) return _sessions.Count;
        }
    }

    /// <summary>Stops listening, ends every session and waits for their devices to be disposed.</summary>
    public void Dispose()
    {
        Thread[] threads;
        lock (_lock)
        {
            if (_stopped) return;
            _stopped = true;
            foreach (var session in _sessions.Keys) session.Shutdown();
            threads = [.. _sessions.Values];
        }
        _stop.Signal();
        _accepting.Join();
        foreach (var thread in threads) thread.Join();
        _listener.Dispose();
        _stop.Dispose();
    }

    private void Accept()
    {
        using var events = new WaitSet(_listener.Handle, _stop.Handle);
        using var stop = new WaitSet(_stop.Handle);
        while (true)
        {
            events.Wait();
            if (events.IsReady(1)) return;
            try
            {
                Start(_listener.Accept());
            }
            catch (IOException e)
            {
                // Most likely out of descriptors: the listener stays ready, so give the others time to free some.
                _report($"vfio-user: {e.Message}");
                if (stop.Wait(1000)) return;
            }
        }
    }

    private void Start(UnixConnection connection)
    {
        lock (_lock)
        {
            if (_stopped || _sessions.Count >= MaxSessions)
            {
                connection.Dispose();
                if (!_stopped) _report($"vfio-user: a client was turned away, {MaxSessions} are connected");
                return;
            }
            var session = new VfioUserSession(connection, _create);
            var thread = new Thread(() => Serve(session)) { IsBackground = true, Name = "vfio-user session" };
            _sessions.Add(session, thread);
            thread.Start();
        }
    }

    private void Serve(VfioUserSession session)
    {
        try
        {
            session.Run();
        }
        catch (IOException e)
        {
            _report($"vfio-user: {e.Message}");
        }
        finally
        {
            session.Dispose();
            lock (_lock) _sessions.Remove(session);
        }
    }
}
