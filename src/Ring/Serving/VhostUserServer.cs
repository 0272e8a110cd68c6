using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;

namespace VmShunt.Ring.Serving;

/// <summary>
/// Serves a virtio device of any type to vhost-user front-ends, such as QEMU. Each connection is a session with a device of
/// its own; many may be open at once, on one or several sockets. Any thread.
/// </summary>
/// <example>
/// <code>
/// await using var server = new VhostUserServer(() =&gt; new Entropy());
/// server.Listen("rng.sock");
/// await server.RunAsync(stop);
/// </code>
/// </example>
/// <param name="createDevice">Creates the device of one session, on the session's thread. The server disposes it, if it is disposable.</param>
/// <param name="options">The options.</param>
public sealed class VhostUserServer(Func<VirtioDevice> createDevice, VhostUserServerOptions? options = null) : IAsyncDisposable
{
    private readonly Func<VirtioDevice> _createDevice = createDevice ?? throw new ArgumentNullException(nameof(createDevice));
    private readonly VhostUserServerOptions _options = options ?? new VhostUserServerOptions();
    private readonly List<SessionListener> _listeners = [];
    private readonly TaskCompletionSource _stopRequested = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _changing = new();
    private Task? _stopped;
    private int _sessions;

    /// <summary>
    /// Raised when a session opens, closes or is refused, and when something fails; on the thread where that happens, so
    /// several may be raised at once. What a handler throws is dropped.
    /// </summary>
    public event EventHandler<ServerReport>? Reported;

    /// <summary>
    /// Listens on a Unix socket; front-ends may connect from now on. Replaces the socket of a process that has exited, and
    /// removes it at the stop. May be called for several paths.
    /// </summary>
    /// <param name="path">The socket's path; its folder exists.</param>
    /// <exception cref="IOException">The path is in use, is too long, or its folder does not exist; the message says what to do.</exception>
    /// <exception cref="ObjectDisposedException">The server is stopped.</exception>
    public void Listen(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        lock (_changing)
        {
            ObjectDisposedException.ThrowIf(_stopped is not null, this);
            _listeners.Add(new SessionListener(path, Serve, refused: reason => Report(ServerReportKind.SessionRefused, 0, $"a connection on {path} was refused: {reason}")));
        }
    }

    /// <summary>
    /// Runs until it is cancelled or the server is disposed; then closes the sockets, completes the requests in flight and
    /// returns. A stopped server cannot run again.
    /// </summary>
    /// <exception cref="InvalidOperationException">The server listens on no socket.</exception>
    /// <exception cref="ObjectDisposedException">The server is stopped.</exception>
    public async Task RunAsync(CancellationToken stop = default)
    {
        lock (_changing)
        {
            ObjectDisposedException.ThrowIf(_stopped is not null, this);
            if (_listeners.Count == 0) throw new InvalidOperationException("the server listens on no socket: call Listen first");
        }
        using (stop.UnsafeRegister(static requested => ((TaskCompletionSource)requested!).TrySetResult(), _stopRequested))
        {
            await _stopRequested.Task.ConfigureAwait(false);
        }
        await StopAsync().ConfigureAwait(false);
    }

    /// <summary>Stops as <see cref="RunAsync"/> does when it is cancelled.</summary>
    public async ValueTask DisposeAsync()
    {
        _stopRequested.TrySetResult();
        await StopAsync().ConfigureAwait(false);
    }

    private Task StopAsync()
    {
        lock (_changing)
        {
            // Each listener waits for its sessions, so all are stopped at once.
            return _stopped ??= Task.WhenAll(_listeners.Select(static listener => Task.Factory.StartNew(
                listener.Dispose, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));
        }
    }

    private void Serve(UnixConnection connection)
    {
        var session = Interlocked.Increment(ref _sessions);
        VirtioDevice? device = null;
        try
        {
            var created = _createDevice() ?? throw new InvalidOperationException("the factory returned null");
            created.Claim();
            device = created;
            using var endpoint = new VirtioEndpoint(
                device, _options.Wait, line => Report(ServerReportKind.Failure, session, line), line => Report(ServerReportKind.QueueBroken, session, line));
            Serve(connection, session, endpoint, $"{device.Type}");
        }
        catch (Exception e)
        {
            Report(ServerReportKind.SessionRefused, session, $"refused, because its device cannot be used: {e.Message}");
        }
        finally
        {
            Dispose(device, session);
        }
    }

    private void Serve(UnixConnection connection, int session, VirtioEndpoint endpoint, string type)
    {
        Report(ServerReportKind.SessionOpened, session, $"opened ({type})");
        string? reason;
        using (var backend = new VhostUserBackend(new VhostUserConnection(connection), endpoint, refusal => Report(ServerReportKind.MessageRefused, session, refusal)))
        {
            try
            {
                endpoint.Connect(backend);
                reason = backend.Run();
            }
            catch (VhostUserException e)
            {
                reason = e.Message;
            }
            endpoint.Disconnect();
            // Reported before the socket closes, so that the front-end's log and this one are in order.
            Report(ServerReportKind.SessionClosed, session, $"closed: rings stopped, guest memory released ({reason ?? "the front-end closed it"})");
        }
    }

    // Devices may hold files or sockets of their own.
    private void Dispose(VirtioDevice? device, int session)
    {
        try
        {
            (device as IDisposable)?.Dispose();
        }
        catch (Exception e)
        {
            Report(ServerReportKind.Failure, session, $"{device!.GetType().Name}.Dispose threw {e.GetType().Name}: {e.Message}");
        }
    }

    private void Report(ServerReportKind kind, int session, string message)
    {
        try
        {
            Reported?.Invoke(this, new ServerReport(kind, session, message));
        }
        catch (Exception)
        {
            // There is no other place to say it, and the thread serves a session.
        }
    }
}
