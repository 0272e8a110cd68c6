using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Requests;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Notification;
using VmShunt.Tests.Hostile;

namespace VmShunt.Tests.Guest.Block.Virtio;

/// <summary>The port driver of a guest that has only the bus, against back-ends that disconnect.</summary>
public sealed class ReconnectingPortDriverTests : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private readonly ServedDisk _served = ServedDisk.InMemory();
    private readonly GuestRam _ram = GuestRam.Create(16 << 20);
    private readonly GuestPages _pages;
    private readonly CrashGate _crash = new();
    private readonly List<string> _log = [];
    private UnixConnection? _connection;
    private bool _isAway;

    public ReconnectingPortDriverTests() => _pages = new GuestPages(_ram, 0x1_0000);

    public void Dispose() => _served.Dispose();

    [Fact]
    public async Task Requests_that_are_held_while_the_back_end_is_lost_complete_after_the_reconnect()
    {
        using var port = new ReconnectingPortDriver(Open, Log);
        var disk = new DiskClassDriver(port, _crash);
        await Flush(disk);
        Disconnect();
        // The back-end may still complete these.
        var first = Read(20);
        Assert.True(SpinWait.SpinUntil(() => Lines > 0, s_patience));
        var held = Read(20);
        Assert.Equal((0, 0), (port.Reconnects, held.Count(static read => read.IsCompleted)));
        Reappear();
        await Task.WhenAll([.. first, .. held]).WaitAsync(s_patience);
        await Task.Yield();
        Assert.Equal((1, 0), (port.Reconnects, disk.Counters.Failed));
        Assert.Equal(["the bus is lost: the back-end closed the channel; requests are held until the back-end reconnects", "the back-end is connected again"], _log);

        Task[] Read(int count) => [.. Enumerable.Range(0, count).Select(_ => disk.ReadAsync(0, _pages.Allocate(512)).AsTask())];
    }

    [Fact]
    public async Task Requests_that_are_held_fail_when_the_driver_is_disposed()
    {
        var port = new ReconnectingPortDriver(Open, Log);
        var disk = new DiskClassDriver(port, _crash);
        Disconnect();
        Assert.True(SpinWait.SpinUntil(() => Lines > 0, s_patience));
        var flush = disk.TryFlushAsync().AsTask();
        port.Dispose();
        Assert.Equal(BlockStatus.Disconnected, await flush.WaitAsync(s_patience));
    }

    [Fact]
    public async Task A_back_end_that_is_lost_during_the_first_set_up_is_connected_again()
    {
        var opened = 0;
        using var port = new ReconnectingPortDriver(
            lost =>
            {
                var channel = Open(lost);
                if (opened++ == 0) lost("it exited at once");
                return channel;
            },
            Log);
        var disk = new DiskClassDriver(port, _crash);
        await Flush(disk);
        Assert.True(SpinWait.SpinUntil(() => port.Reconnects == 1, s_patience));
    }

    [Fact]
    public async Task A_back_end_that_is_lost_during_a_reconnect_is_given_up_and_the_next_one_serves()
    {
        var opened = 0;
        using var port = new ReconnectingPortDriver(
            lost =>
            {
                var channel = Open(lost);
                if (opened++ == 1) lost("it exited at once");
                return channel;
            },
            Log);
        var disk = new DiskClassDriver(port, _crash);
        _connection!.Shutdown();
        Assert.True(SpinWait.SpinUntil(() => port.Reconnects == 1, s_patience));
        await Flush(disk);
        Assert.Equal(3, opened);
    }

    [Fact]
    public void Without_a_back_end_at_the_start_there_is_no_driver()
    {
        _isAway = true;
        Assert.Throws<IOException>(() => new ReconnectingPortDriver(Open, Log));
    }

    // Not on the queue's thread afterwards, which a disposal waits for.
    private static async Task Flush(DiskClassDriver disk)
    {
        await disk.FlushAsync().AsTask().WaitAsync(s_patience);
        await Task.Yield();
    }

    private int Lines
    {
        get
        {
            lock (_log) return _log.Count;
        }
    }

    private BusChannel Open(Action<string> lost)
    {
        lock (_log)
        {
            if (_isAway) throw new IOException("no back-end listens");
            _connection = _served.Connect();
        }
        var options = new QueueThreadOptions(WaitPolicy.Adaptive, _crash, static () => { }, static () => { }, lost, static _ => { });
        return BusChannel.Open(_connection, _ram, _pages, new BusOptions(2, WaitPolicy.Adaptive, RingLayout.Packed), options);
    }

    private void Disconnect()
    {
        lock (_log)
        {
            _isAway = true;
            _connection!.Shutdown();
        }
    }

    private void Reappear()
    {
        lock (_log) _isAway = false;
    }

    private void Log(string line)
    {
        lock (_log) _log.Add(line);
    }
}
