using VmShunt.Ring.Virtqueue;
using static VmShunt.Ring.Virtqueue.DescriptorFlags;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>What a driver may write into the available ring of a split queue, and what the device does with it.</summary>
public sealed class HostileAvailableRingTests : IDisposable
{
    private const ulong Data = ScribbledSplitRing.Data;

    private readonly ScribbledSplitRing _ring = new();

    public void Dispose() => _ring.Dispose();

    [Theory]
    [InlineData(9)]
    [InlineData(1000)]
    [InlineData(65_535)]
    public void An_available_index_that_jumps_breaks_the_ring(ushort index)
    {
        _ring.SetAvailable(index);
        _ring.AssertBroken("ahead");
    }

    [Fact]
    public void An_available_index_that_goes_backwards_breaks_the_ring()
    {
        _ring.Descriptor(0, Data, 1);
        _ring.Offer(0);
        Assert.Equal(PopResult.Popped, _ring.Pop());
        _ring.SetAvailable(0);
        _ring.AssertBroken("ahead");
    }

    [Fact]
    public void An_index_ahead_by_exactly_the_size_is_a_full_ring()
    {
        _ring.Descriptor(0, Data, 1);
        _ring.SetAvailable(ScribbledSplitRing.Size);
        for (var i = 0; i < ScribbledSplitRing.Size; i++) Assert.Equal(PopResult.Popped, _ring.Pop());
        Assert.Equal(PopResult.Empty, _ring.Pop());
    }

    [Fact]
    public void A_head_that_is_offered_twice_is_popped_twice()
    {
        _ring.Descriptor(3, Data, 1, Write);
        for (var i = 0; i < 100; i++)
        {
            _ring.Offer(3).Offer(3);
            Assert.Equal(PopResult.Popped, _ring.Pop());
            var first = _ring.Chain.Handle;
            Assert.Equal(PopResult.Popped, _ring.Pop());
            _ring.Device.Return(first, 1);
            _ring.Device.Return(_ring.Chain.Handle, 1);
            _ring.Device.Publish();
        }
        Assert.Equal(200, _ring.Used.Read<ushort>(SplitLayout.Index));
    }

    [Theory]
    [InlineData(8)]
    [InlineData(256)]
    [InlineData(65_535)]
    public void A_head_beyond_the_table_breaks_the_ring(ushort head)
    {
        _ring.Offer(head);
        _ring.AssertBroken("beyond the queue's size");
    }

    [Fact]
    public void A_chain_popped_before_the_ring_broke_can_still_be_returned()
    {
        _ring.Descriptor(0, Data, 1, Write);
        _ring.Offer(0).Offer(9);
        Assert.Equal(PopResult.Popped, _ring.Pop());
        var handle = _ring.Chain.Handle;
        _ring.AssertBroken("beyond the queue's size");
        _ring.Device.Return(handle, 1);
        Assert.True(_ring.Device.Publish());
        Assert.Equal((ushort)1, _ring.Used.Read<ushort>(SplitLayout.Index));
        // A driver that sets the ring up again can use it.
        var next = new SplitDeviceQueue(_ring.Ram.Memory, SplitRing.Areas(_ring.Ram, 8), 8, (ushort)_ring.Device.Position, true, false);
        _ring.SetAvailable(2);
        _ring.Available.Write<ushort>(SplitLayout.Ring + 2, 0);
        Assert.Equal(PopResult.Popped, next.TryPop(_ring.Chain));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Garbage_in_the_suppression_words_costs_at_most_a_notification(bool eventIndex)
    {
        using var ring = new ScribbledSplitRing(eventIndex: eventIndex);
        ring.Descriptor(0, Data, 1, Write);
        for (var i = 0; i < 70_000; i += 7)
        {
            ring.Available.Write(0, (ushort)i);
            ring.Available.Write(SplitLayout.UsedEvent(8), (ushort)(i * 31));
            ring.Used.Write(SplitLayout.AvailableEvent(8), (ushort)(i * 17));
            Assert.Equal(PopResult.Popped, ring.Offer(0).Pop());
            ring.Device.Return(ring.Chain.Handle, 1);
            ring.Device.Publish();
            Assert.False(ring.Device.Arm());
        }
    }

    [Fact]
    public void A_used_ring_that_the_driver_overwrote_is_written_again()
    {
        _ring.Descriptor(0, Data, 1, Write);
        _ring.Offer(0).Offer(0);
        Assert.Equal(PopResult.Popped, _ring.Pop());
        _ring.Used.Span.Fill(0xff);
        _ring.Device.Return(_ring.Chain.Handle, 5);
        _ring.Device.Publish();
        Assert.Equal(1, _ring.Used.Read<ushort>(SplitLayout.Index));
        Assert.Equal(5ul << 32, _ring.Used.Read<ulong>(SplitLayout.Ring));
        Assert.Equal(PopResult.Popped, _ring.Pop());
    }
}
