using System.Runtime.InteropServices;
using VmShunt.BlockBackend.Disk;
using VmShunt.BlockBackend.Log;
using VmShunt.BlockBackend.Own;
using VmShunt.BlockBackend.Transition;
using VmShunt.BlockBackend.VirtioBlk;
using VmShunt.BlockBackend.VirtioBlk.Serving;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Serving;
using VmShunt.Ring.VhostUser;

namespace VmShunt.BlockBackend;

/// <summary>
/// Serves a disk to virtual machines: by virtio-blk over vhost-user, and with <c>VmShunt.AhciBackend</c> by an AHCI controller
/// over vfio-user. Many sessions at once, on all sockets, see one disk. Any thread.
/// </summary>
/// <example>
/// <code>
/// await using var server = new BlockServer(new RamDisk(64 &lt;&lt; 20));
/// server.ListenVhostUser("ram.sock");
/// await server.RunAsync(stop);
/// </code>
/// </example>
public sealed class BlockServer : IAsyncDisposable, IDisposable
{
    // Longer than sessions take that abandon their requests; a front-end's record has those, and the next host executes them.
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(3);

    private readonly BlockStorage _storage;
    private readonly VirtualizationDriver _disk;
    private readonly PollGroups _groups;
    private readonly List<SessionListener> _listeners = [];
    private readonly Lock _lock = new();
    private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _disposed;
    private int _sessions;

    /// <summary>Prepares to serve a disk; it is served from the first <c>Listen…</c> on.</summary>
    /// <param name="disk">The disk; disposed with the server, unless <see cref="BlockServerOptions.LeaveOpen"/>.</param>
    /// <param name="options">How to serve it.</param>
    /// <exception cref="ArgumentException">An option, or a property of the disk, is out of its range; the message says what it takes.</exception>
    /// <exception cref="InvalidOperationException">Another server serves the disk.</exception>
    /// <exception cref="ObjectDisposedException">The disk was disposed.</exception>
    public BlockServer(BlockStorage disk, BlockServerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(disk);
        options ??= new BlockServerOptions();
        options.Check();
        Options = options with { Log = GuardedLog.Of(options.Log) };
        if (disk.LogicalBlockSize is not (512 or 4096)) throw new ArgumentException($"{disk.Name}.LogicalBlockSize is {disk.LogicalBlockSize}; it takes 512 or 4096", nameof(disk));
        if (disk.Serial is not { Length: >= 1 and <= 20 } serial || !serial.All(char.IsAscii))
            throw new ArgumentException($"{disk.Name}.Serial is '{disk.Serial}'; it takes 1 to 20 ASCII characters", nameof(disk));
        if (!DiskTopology.IsPhysicalBlock(disk.PhysicalBlockSize, disk.LogicalBlockSize))
            throw new ArgumentException($"{disk.Name}.PhysicalBlockSize is {disk.PhysicalBlockSize}; it takes a power of two from its LogicalBlockSize, {disk.LogicalBlockSize}, to {DiskTopology.LargestPhysicalBlock}", nameof(disk));
        disk.Claim();
        PortDriver port;
        try
        {
            port = PortOf(disk, Options);
        }
        catch (Exception e)
        {
            disk.Release();
            if (e is IOException) throw new ArgumentException(e.Message, nameof(disk), e);
            throw;
        }
        _storage = disk;
        _disk = new VirtualizationDriver(
            new HostClassDriver(port, Options.Log, Options.OnFull == NoSpacePolicy.Wait, Options.Time, leaveOpen: disk is HostDisk),
            serial, disk.LogicalBlockSize, (disk as HostDisk)?.HasWriteCache ?? true, (disk as HostDisk)?.PhysicalBlockSize);
        if (Options.Transition == TransitionMode.Auto) Pairs = new GuestPairs(Options.PairsSockets, Options.ProbeLimit, Options.Log, Options.Time);
        _groups = new PollGroups(Options.Pollers, Options.Wait);
        disk.LengthChanged += Refresh;
    }

    /// <summary>How it serves.</summary>
    public BlockServerOptions Options { get; }

    /// <summary>The number of open sessions, on all sockets.</summary>
    public int Sessions => Ordered.Load(ref _sessions);

    /// <summary>
    /// Raised with +1 when a session opened and −1 when one closed, on a thread that serves. Must not block, nor dispose the
    /// server; what it throws is logged.
    /// </summary>
    public event Action<int>? SessionsChanged;

    internal VirtualizationDriver Disk => _disk;

    /// <summary>The guests that may have both paths; null without transitions.</summary>
    internal GuestPairs? Pairs { get; }

    /// <summary>Serves virtio-blk over vhost-user on a Unix socket (QEMU: <c>-device vhost-user-blk-pci</c>).</summary>
    /// <param name="path">
    /// Its path, at most 107 bytes. The socket of a process that exited is replaced. Also <c>fd:N</c>, a listening or connected
    /// socket that the process was started with, and <c>connect:PATH</c>, where the front-end listens (QEMU: <c>server=on</c>).
    /// </param>
    /// <returns>The listener, which can withdraw the socket and offer it again; owned by the server.</returns>
    /// <exception cref="IOException">The path is in use, too long, not a socket, or its folder does not exist; the descriptor is no such socket.</exception>
    /// <exception cref="ObjectDisposedException">The server is disposed.</exception>
    public SessionListener ListenVhostUser(string path)
    {
        var sessions = 0;
        return Listen(path, connection =>
        {
            var guarded = Pairs is null ? null : new RingSession();
            using var member = guarded is null ? null : Pairs!.OpenRing(connection.PeerProcessId, path, guarded, HangUp.Of(connection));
            if (guarded is not null && member is null) return;
            guarded?.Member = member;
            var session = Interlocked.Increment(ref sessions);
            Options.Log.SessionOpened(session);
            using var device = new VirtioBlkDevice(_disk, Options.Queues, Options.QueueSize, Options.Primary, Options.MaxSegments);
            using var blk = new VhostUserBlkDevice(device, Options.Queues, Options.QueueSize, Options.Wait, _groups, Options.Log, Options.IsMigratable, guarded);
            using var backend = new VhostUserBackend(new VhostUserConnection(connection), blk, refusal => Options.Log.MessageRefused(session, refusal));
            _disk.CapacityChanged += backend.NotifyConfigChanged;
            var reason = backend.Run();
            _disk.CapacityChanged -= backend.NotifyConfigChanged;
            // Logged before the socket closes: the hypervisor waits for the close, so both logs are in order.
            Options.Log.SessionClosed(session, reason ?? "the front-end closed it");
        });
    }

    /// <summary>Re-reads the disk's length and notifies every guest of a change.</summary>
    public void Refresh() => _disk.Refresh();

    /// <summary>Serves until cancelled, or until the server is disposed; then closes the sockets, lets requests in flight complete, and returns normally.</summary>
    /// <param name="stop">Ends the service.</param>
    /// <exception cref="InvalidOperationException">The server listens on no socket.</exception>
    /// <exception cref="ObjectDisposedException">The server is disposed.</exception>
    public async Task RunAsync(CancellationToken stop)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_listeners.Count == 0) throw new InvalidOperationException($"the server listens on no socket: call {nameof(ListenVhostUser)} first");
        }
        using (stop.Register(() => _stopped.TrySetResult())) await _stopped.Task.ConfigureAwait(false);
        await DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>Serves until the process gets SIGINT (Ctrl-C) or SIGTERM; then ends as <see cref="RunAsync"/> does.</summary>
    public async Task RunUntilSignalAsync()
    {
        using var stop = new CancellationTokenSource();
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        await RunAsync(stop.Token).ConfigureAwait(false);

        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            stop.Cancel();
        }
    }

    /// <summary>Closes the sockets and sessions, and the disk unless <see cref="BlockServerOptions.LeaveOpen"/>. Blocks until requests in flight have completed.</summary>
    /// <exception cref="InvalidOperationException">It is called on a thread that serves a session of this server, for which it would wait.</exception>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed) return;
            if (_listeners.Any(static listener => listener.IsOnOwnThread))
                throw new InvalidOperationException($"{nameof(BlockServer)}.{nameof(Dispose)} was called on a thread that serves the disk, for which it would wait: call it on another thread, or {nameof(DisposeAsync)} without waiting for it");
            _disposed = true;
        }
        _stopped.TrySetResult();
        _storage.LengthChanged -= Refresh;
        // A disk that waits for a lost server is not waited for: its requests fail.
        using (new Timer(static disk => ((VirtualizationDriver)disk!).Abort(), _disk, s_patience, Timeout.InfiniteTimeSpan))
        {
            foreach (var listener in _listeners) listener.Dispose();
        }
        _groups.Dispose();
        if (_disk.HasLateCommand) _disk.Abort();
        _disk.AwaitLateCommands();
        _disk.Dispose();
        _storage.Release();
        if (!Options.LeaveOpen) _storage.Dispose();
    }

    /// <inheritdoc cref="Dispose"/>
    public ValueTask DisposeAsync() => new(Task.Run(Dispose));

    /// <summary>Serves connections to a socket by another protocol.</summary>
    internal SessionListener Listen(string path, Action<UnixConnection> serve)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            var listener = new SessionListener(path, serve, difference => CountSessions(path, difference), reason => Options.Log.ConnectionRefused(path, reason));
            _listeners.Add(listener);
            return listener;
        }
    }

    private static PortDriver PortOf(BlockStorage disk, BlockServerOptions options) => disk switch
    {
        HostDisk host => host.Port,
        BlockDevice device => new SpanPort(device, options.MaxConcurrency, options.StableWrites),
        VectoredBlockDevice device => new VectoredPort(device, options.MaxConcurrency),
        AsyncBlockDevice device => new TaskPort(device, options.DrainTimeout, options.DetectMisuse),
        _ => throw new ArgumentException($"{disk.GetType()} is no disk contract", nameof(disk)),
    };

    private void CountSessions(string address, int difference)
    {
        Interlocked.Add(ref _sessions, difference);
        try
        {
            SessionsChanged?.Invoke(difference);
        }
        catch (Exception e)
        {
            Options.Log.HandlerThrew(address, $"{e.GetType().Name}: {e.Message}");
        }
    }
}
