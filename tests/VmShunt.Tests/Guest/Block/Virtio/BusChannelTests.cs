using VmShunt.BlockBackend.Disk;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Requests;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Notification;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Guest.Kernel;

namespace VmShunt.Tests.Guest.Block.Virtio;

/// <summary>A channel to VM-H's device: its session, its queues, and which queue a request takes.</summary>
public class BusChannelTests
{
    private readonly GuestRam _ram = GuestRam.Create(16 << 20);
    private readonly GuestPages _pages;

    public BusChannelTests() => _pages = new GuestPages(_ram, 0x1_0000);

    [Theory]
    [InlineData(1, 0, 1, 0)]
    [InlineData(16, 4, ServedSocket.Queues, 0)]
    [InlineData(1, 4, 1, ServedSocket.Queues - 1)]
    public void A_channel_has_no_more_queues_than_the_back_end_offers(int queues, int pollQueues, int threads, int polled)
    {
        using var socket = new ServedSocket(new MemoryPortDriver(1 << 20));
        using var channel = Open(socket, queues, pollQueues);
        Assert.Equal((threads, polled), (channel.QueueCount, channel.PollQueues));
        Assert.Equal(2048ul, channel.Geometry.SectorCount);
    }

    [Theory]
    [InlineData(RingLayout.Split, false)]
    [InlineData(RingLayout.Packed, true)]
    [InlineData(RingLayout.Auto, true)]
    public void The_layout_is_the_one_asked_for_and_packed_if_left_to_choose(RingLayout layout, bool isPacked)
    {
        using var socket = new ServedSocket(new MemoryPortDriver(1 << 20));
        using var channel = Open(socket, 1, 0, layout);
        Assert.Equal(isPacked, channel.Features.HasFlag(VirtioBlkFeatures.PackedRing));
    }

    [Fact]
    public void Threads_are_spread_over_the_queues_and_each_keeps_to_its_own()
    {
        using var socket = new ServedSocket(new MemoryPortDriver(1 << 20));
        using var channel = Open(socket, ServedSocket.Queues, 0);
        var disk = new DiskClassDriver(new Submitting(channel), new CrashGate());
        for (var i = 0; i < 4; i++)
        {
            var thread = new Thread(() =>
            {
                for (var request = 0; request < 10; request++) disk.FlushAsync().AsTask().Wait();
            });
            thread.Start();
            thread.Join();
        }
        Assert.Equal([20L, 20], channel.Counters.Select(static queue => queue.Requests));
    }

    [Fact]
    public void A_polled_call_runs_on_a_queue_without_a_thread()
    {
        using var socket = new ServedSocket(new MemoryPortDriver(1 << 20));
        using var channel = Open(socket, 1, 1);
        var disk = new DiskClassDriver(new Submitting(channel), new CrashGate());
        for (var i = 0; i < 5; i++) disk.Flush();
        Assert.Equal([0L, 5], channel.Counters.Select(static queue => queue.Requests));
    }

    [Fact]
    public void A_shunt_that_would_send_request_types_that_VM_H_does_not_implement_is_told_the_options_that_fit()
    {
        using var socket = new ServedSocket(new MemoryPortDriver(1 << 20), RequestTypes.Read | RequestTypes.Write);
        using var channel = Open(socket, 1, 0);
        var why = channel.Agree(static _ => Declaration(RequestTypes.Read | RequestTypes.Flush));
        Assert.Contains("does not implement flush", why, StringComparison.Ordinal);
        Assert.Contains("--primary read,write,", why, StringComparison.Ordinal);
        Assert.Equal(RequestTypes.Read | RequestTypes.Write, channel.Implemented);
        Assert.Null(channel.Agree(static implemented => Declaration(implemented)));
    }

    [Fact]
    public async Task A_closed_channel_has_freed_its_rings_and_rejects_requests_to_their_fallback()
    {
        using var socket = new ServedSocket(new MemoryPortDriver(1 << 20));
        var largest = Largest();
        var channel = Open(socket, 2, 0);
        Assert.NotEmpty(channel.RingMemory);
        Assert.True(Largest() < largest);
        channel.Dispose();
        Assert.Equal((largest, 0), (Largest(), channel.RingMemory.Count));
        var fallback = new VmShunt.Tests.Doubles.RecordingDriver(completesAtOnce: true);
        var disk = new DiskClassDriver(new Submitting(channel, fallback), new CrashGate());
        await disk.FlushAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Equal([BlockOperation.Flush], fallback.Operations);
    }

    private static ShuntDeclaration Declaration(RequestTypes primary) =>
        new() { Version = ShuntAgreement.CurrentVersion, Criterion = PrimaryCriterion.Importance, Primary = primary };

    private BusChannel Open(ServedSocket socket, int queues, int pollQueues, RingLayout layout = RingLayout.Auto) => BusChannel.Open(
        UnixConnection.Connect(socket.Path), _ram, _pages, new BusOptions(queues, WaitPolicy.Adaptive, layout, pollQueues),
        new QueueThreadOptions(WaitPolicy.Adaptive, new CrashGate(), static () => { }, static () => { }, static _ => { }, static _ => { }));

    private int Largest()
    {
        for (var size = 16 << 20; ; size -= 4096)
        {
            try
            {
                _pages.Free(_pages.Allocate(size));
                return size;
            }
            catch (InvalidOperationException)
            {
                // Try a smaller size.
            }
        }
    }

    private sealed class Submitting(BusChannel channel, IBlockDriver? fallback = null) : IBlockDriver
    {
        public DiskGeometry Geometry => channel.Geometry;

        public void Submit(BlockRequest request)
        {
            request.Fallback = fallback;
            channel.Submit(request);
        }
    }
}
