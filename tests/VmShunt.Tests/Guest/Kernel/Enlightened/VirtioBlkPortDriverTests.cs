using VmShunt.BlockBackend.Disk;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Shunt.Modes;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Guest.Kernel.Enlightened;

/// <summary>Which requests of the port driver (enlightened) take the ring path, and which another driver gets.</summary>
public class VirtioBlkPortDriverTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task Requests_take_the_ring_path_while_a_channel_is_attached()
    {
        using var bus = new BusEnd(new MemoryPortDriver(1 << 20));
        await bus.Disk.FlushAsync();
        bus.Driver.Attach(bus.Channel);
        Assert.True(bus.Driver.IsPresent);
        var buffer = bus.Pages.Allocate(4096);
        buffer.Span.Fill(0x5A);
        await bus.Disk.WriteAsync(8, buffer);
        buffer.Span.Clear();
        await bus.Disk.ReadAsync(8, buffer);
        await Task.Yield();
        Assert.Equal(-1, buffer.Span.IndexOfAnyExcept((byte)0x5A));
        bus.Driver.Detach();
        await bus.Disk.FlushAsync();
        Assert.Equal([BlockOperation.Flush, BlockOperation.Flush], bus.Away.Operations);
        Assert.Equal(2, bus.Disk.Counters.Ringed);
    }

    [Fact]
    public async Task A_request_type_that_VM_H_does_not_support_on_the_ring_goes_to_the_other_driver()
    {
        using var bus = new BusEnd(new MemoryPortDriver(1 << 20), RequestTypes.Data);
        bus.Driver.Attach(bus.Channel);
        await bus.Disk.FlushAsync();
        await bus.Disk.ReadAsync(0, bus.Pages.Allocate(512));
        await Task.Yield();
        Assert.Equal([BlockOperation.Flush], bus.Away.Operations);
        Assert.Equal(1, bus.Disk.Counters.Ringed);
    }

    [Fact]
    public async Task Requests_on_a_lost_bus_go_to_the_other_driver_and_complete_once()
    {
        var gate = new GatedPortDriver(1 << 20);
        using var bus = new BusEnd(gate);
        bus.Driver.Attach(bus.Channel);
        var requests = Enumerable.Range(0, 8).Select(i => bus.Disk.ReadAsync((ulong)i, bus.Pages.Allocate(512)).AsTask()).ToArray();
        gate.AwaitOperation();
        var lost = Task.Run(bus.Lose);
        gate.Open(100);
        await lost.WaitAsync(s_limit);
        await Task.WhenAll(requests).WaitAsync(s_limit);
        await bus.Disk.FlushAsync();
        await Task.Yield();
        Assert.Equal((9L, 0L, 0L), (bus.Disk.Counters.Completed, bus.Disk.Counters.Failed, bus.Disk.Counters.Repeated));
        Assert.Equal(BlockOperation.Flush, bus.Away.Operations[^1]);
    }

    [Fact]
    public async Task An_offered_request_is_accepted_only_with_a_channel_that_supports_it()
    {
        using var bus = new BusEnd(new MemoryPortDriver(1 << 20), RequestTypes.Data);
        var read = new Offered(BlockOperation.Read, bus.Pages.Allocate(512).Address);
        Assert.False(bus.Driver.TryAccept(read));
        bus.Driver.Attach(bus.Channel);
        Assert.False(bus.Driver.TryAccept(new Offered(BlockOperation.Discard, 0)));
        Assert.True(bus.Driver.TryAccept(read));
        Assert.Equal(BlockStatus.Ok, await read.Completed.WaitAsync(s_limit));
    }

    [Fact]
    public void The_commanded_switch_follows_the_channel()
    {
        using var bus = new BusEnd(new MemoryPortDriver(1 << 20));
        var commanded = new ShuntSwitch();
        bus.Driver.Commanded = commanded;
        bus.Driver.Attach(bus.Channel);
        Assert.True(commanded.IsDiverting);
        bus.Driver.Detach();
        Assert.False(commanded.IsDiverting);
        Assert.Equal(2048UL, bus.Driver.Geometry.SectorCount);
    }

    private sealed class Offered : BlockRequest
    {
        private readonly TaskCompletionSource<BlockStatus> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);

        internal Offered(BlockOperation operation, ulong address) => Begin(operation, 0, 512, address);

        internal Task<BlockStatus> Completed => _completion.Task;

        protected override void End(BlockStatus status) => _completion.SetResult(status);
    }
}
