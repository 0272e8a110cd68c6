using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.HostPartition.Disk;
using VmShunt.HostPartition.VirtioBlk;
using VmShunt.HostPartition.VirtioBlk.Serving;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Notification;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Tests.Doubles;

/// <summary>
/// VM-C's enlightened stack against VM-H's virtio-blk device, both ends of a real ring in this process. The back-end can
/// be lost, and kept away; the guest connects again.
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
        Pages = new GuestPages(_ram);
        _port = new ReconnectingPortDriver(
            lost => BusChannel.Open(Connect(), _ram, Pages, new BusOptions(1, wait, layout), new QueueThreadOptions(wait, Crash, () => { }, () => { }, lost, _ => { })), Say);
        Disk = new DiskClassDriver(_port, Crash);
    }

    internal CrashGate Crash { get; } = new();

    internal DiskClassDriver Disk { get; }

    internal GuestPages Pages { get; }

    internal IEnumerable<QueueCounters> Counters => _port.Channel.Counters;

    /// <summary>How often the guest has noticed that the back-end was lost.</summary>
    internal int Losses => _losses;

    /// <summary>The back-end is lost, and does not come back until <see cref="Return"/>.</summary>
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
        // A test that awaited a request goes on on the ring's thread, which cannot wait for itself.
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
        var (mine, its) = UnixConnection.CreatePair();
        lock (_lock)
        {
            if (_away) throw new IOException("nobody is there");
            _backEnd = its;
        }
        var device = new VirtioBlkDevice(_host, 1, 128, RequestTypes.All);
        var backend = new VhostUserBackend(new VhostUserConnection(its), new VhostUserBlkDevice(device, 1, 128, _wait, s_none, NullLogger.Instance), _ => { });
        new Thread(Serve) { IsBackground = true }.Start();
        return mine;

        void Serve()
        {
            backend.Run();
            backend.Dispose();
            device.Dispose();
        }
    }
}
