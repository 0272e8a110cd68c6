using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.BlockBackend.VirtioBlk;
using VmShunt.BlockBackend.VirtioBlk.Serving;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Machine;
using VmShunt.Guest.Requests;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Serving;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Tests.Doubles;

/// <summary>
/// VM-C's enlightened stack and VM-H's virtio-blk device at the two ends of a real ring in this process. The back-end can be
/// disconnected, and refuse connections; the guest reconnects.
/// </summary>
internal sealed class RingDisk : IAsyncDisposable
{
    private static readonly PollGroups s_none = new(0, WaitPolicy.Never);

    private readonly VirtualizationDriver _host;
    private readonly WaitPolicy _wait;
    private readonly GuestRam _ram = GuestRam.Create(32 << 20);
    private readonly ReconnectingPortDriver _port;
    private readonly Lock _lock = new();
    private UnixConnection? _backEnd;
    private bool _away;
    private int _losses;

    internal RingDisk(PortDriver port, RingLayout layout = RingLayout.Packed, WaitPolicy wait = WaitPolicy.Adaptive)
    {
        _wait = wait;
        _host = new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance), "RING", 512);
        Pages = _ram.Pages();
        _port = new ReconnectingPortDriver(
            lost => BusChannel.Open(Connect(), _ram, Pages, new BusOptions(1, wait, layout), new QueueThreadOptions(wait, Crash, () => { }, () => { }, lost, _ => { })), Say);
        Disk = new DiskClassDriver(_port, Crash);
    }

    internal CrashGate Crash { get; } = new();

    internal DiskClassDriver Disk { get; }

    internal GuestPages Pages { get; }

    internal IEnumerable<QueueCounters> Counters => _port.Channel.Counters;

    /// <summary>How often the guest has lost the back-end.</summary>
    internal int Losses => _losses;

    /// <summary>Disconnects the back-end, which refuses connections until <see cref="Return"/>.</summary>
    internal void GoAway()
    {
        lock (_lock)
        {
            _away = true;
            _backEnd?.Shutdown();
        }
    }

    internal void Return()
    {
        lock (_lock) _away = false;
    }

    public async ValueTask DisposeAsync()
    {
        // A test that awaited a request runs on the ring's thread, which cannot join itself.
        await Task.Yield();
        Return();
        _port.Dispose();
        _host.Dispose();
    }

    private void Say(string what)
    {
        if (what.Contains("is lost", StringComparison.Ordinal)) Interlocked.Increment(ref _losses);
    }

    private UnixConnection Connect()
    {
        lock (_lock)
        {
            if (_away) throw new IOException("connection refused");
            (var mine, _backEnd) = Serve(_host, _wait, RequestTypes.All);
            return mine;
        }
    }

    /// <summary>Serves a disk over a new connection, on a thread of its own.</summary>
    /// <returns>The guest's end, and the back-end's: shutting that down disconnects the back-end.</returns>
    internal static (UnixConnection Guest, UnixConnection BackEnd) Serve(VirtualizationDriver host, WaitPolicy wait, RequestTypes implemented)
    {
        var (guest, its) = UnixConnection.CreatePair();
        var device = new VirtioBlkDevice(host, 1, 128, implemented);
        var backend = new VhostUserBackend(new VhostUserConnection(its), new VhostUserBlkDevice(device, 1, 128, wait, s_none, NullLogger.Instance), _ => { });
        new Thread(Serve) { IsBackground = true }.Start();
        return (guest, its);

        void Serve()
        {
            backend.Run();
            backend.Dispose();
            device.Dispose();
        }
    }
}
