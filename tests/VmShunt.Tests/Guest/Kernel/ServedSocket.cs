using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.BlockBackend.VirtioBlk;
using VmShunt.BlockBackend.VirtioBlk.Serving;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Serving;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Tests.Guest.Kernel;

/// <summary>VM-H's virtio-blk device on a disk, served at a socket path. Its guest is disposed first.</summary>
internal sealed class ServedSocket : IDisposable
{
    internal const int Queues = 2;

    private readonly VirtualizationDriver _disk;
    private readonly PollGroups _pollers = new(0, WaitPolicy.Never);
    private readonly RequestTypes _implemented;
    private readonly UnixListener _listener;
    private readonly List<(Thread Thread, UnixConnection Connection)> _sessions = [];
    private readonly Lock _lock = new();

    /// <param name="port">The disk; owned.</param>
    /// <param name="implemented">The request types that the device implements.</param>
    /// <param name="path">The socket; null: a new one.</param>
    internal ServedSocket(PortDriver port, RequestTypes implemented = RequestTypes.All, string? path = null)
    {
        _implemented = implemented;
        _disk = new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance), "SERVED", 512);
        Path = path ?? System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"vmshunt-disk-{Guid.NewGuid():N}");
        _listener = UnixListener.Bind(Path);
        new Thread(Accept) { IsBackground = true }.Start();
    }

    internal string Path { get; }

    /// <summary>Closes every session, as when the back-end's process exits. The socket stays.</summary>
    internal void Disconnect()
    {
        lock (_lock)
        {
            foreach (var (_, connection) in _sessions) connection.Shutdown();
        }
    }

    public void Dispose()
    {
        _listener.Dispose();
        Disconnect();
        lock (_lock) Assert.All(_sessions, static session => Assert.True(session.Thread.Join(60_000), "a session does not end"));
        _pollers.Dispose();
        _disk.Dispose();
    }

    private void Accept()
    {
        try
        {
            while (true)
            {
                var connection = _listener.Accept();
                var thread = new Thread(() => Serve(connection));
                lock (_lock) _sessions.Add((thread, connection));
                thread.Start();
            }
        }
        catch (IOException)
        {
            // The listener was disposed.
        }
    }

    private void Serve(UnixConnection connection)
    {
        using var device = new VirtioBlkDevice(_disk, Queues, 128, _implemented);
        var blk = new VhostUserBlkDevice(device, Queues, 128, WaitPolicy.Adaptive, _pollers, NullLogger.Instance);
        using var backend = new VhostUserBackend(new VhostUserConnection(connection), blk, static _ => { });
        backend.Run();
    }
}
