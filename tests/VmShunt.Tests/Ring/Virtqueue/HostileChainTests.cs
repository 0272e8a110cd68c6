using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;
using static VmShunt.Ring.Virtqueue.DescriptorFlags;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>Descriptor chains that a driver may write into a split queue, and what the device does with them.</summary>
public sealed class HostileChainTests : IDisposable
{
    private const ulong Data = ScribbledSplitRing.Data, Table = ScribbledSplitRing.Table;

    private readonly ScribbledSplitRing _ring = new();

    public void Dispose() => _ring.Dispose();

    [Theory]
    [InlineData(8)]
    [InlineData(0x8000)]
    [InlineData(65_535)]
    public void A_next_beyond_the_table_breaks_the_ring(ushort next)
    {
        _ring.Descriptor(0, Data, 1, Next, 1);
        _ring.Descriptor(1, Data, 1, Next, next);
        _ring.Offer(0);
        _ring.AssertBroken("beyond the queue's size");
    }

    [Fact]
    public void A_next_beyond_the_table_is_ignored_without_its_flag()
    {
        _ring.Descriptor(0, Data, 1, 0, 65_535);
        Assert.Equal(PopResult.Popped, _ring.Offer(0).Pop());
        Assert.Equal(1, _ring.Chain.Count);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    [InlineData(8)]
    public void A_loop_of_any_length_breaks_the_ring(int length)
    {
        for (var i = 0; i < length; i++) _ring.Descriptor(i, Data, 1, Next, (ushort)((i + 1) % length));
        _ring.Offer(0);
        _ring.AssertBroken("loop");
    }

    [Fact]
    public void A_loop_after_valid_descriptors_breaks_the_ring()
    {
        for (ushort i = 0; i < 5; i++) _ring.Descriptor(i, Data, 1, Next, (ushort)(i + 1));
        _ring.Descriptor(5, Data, 1, Next, 4);
        _ring.Offer(0);
        _ring.AssertBroken("loop");
    }

    [Fact]
    public void A_chain_as_long_as_the_queue_is_popped()
    {
        for (ushort i = 0; i < 8; i++) _ring.Descriptor(i, Data + i, i, i == 7 ? Write : Next, (ushort)(i + 1));
        Assert.Equal(PopResult.Popped, _ring.Offer(0).Pop());
        Assert.Equal((8, 7), (_ring.Chain.Count, _ring.Chain.ReadableCount));
    }

    [Theory]
    [InlineData(0ul, 1u)]
    [InlineData(TestMemory.Start - 1, 1u)]
    [InlineData(TestMemory.Start - 1, 2u)]
    [InlineData(TestMemory.Start + 0x2_0000, 1u)]
    [InlineData(TestMemory.Start + 0x1_ffff, 2u)]
    [InlineData(TestMemory.Start, uint.MaxValue)]
    [InlineData(ulong.MaxValue - 4096, 4096u)]
    public void An_address_outside_memory_is_popped_and_fails_its_translation(ulong address, uint length)
    {
        _ring.Descriptor(0, address, length, Write);
        Assert.Equal(PopResult.Popped, _ring.Offer(0).Pop());
        var segment = Assert.Single(_ring.Chain.Writable.ToArray());
        Assert.False(_ring.Ram.Memory.TryAppend(segment.Address, segment.Length, deviceWrites: true, new IoVectors()));
    }

    [Theory]
    [InlineData(ulong.MaxValue, 2u)]
    [InlineData(ulong.MaxValue - 100, 102u)]
    [InlineData(ulong.MaxValue - 100, uint.MaxValue)]
    public void An_address_and_length_that_overflow_break_the_ring(ulong address, uint length)
    {
        _ring.Descriptor(0, Data, 1, Next, 1);
        _ring.Descriptor(1, address, length);
        _ring.Offer(0);
        _ring.AssertBroken("overflow");
    }

    [Fact]
    public void Buffers_of_length_0_are_valid()
    {
        _ring.Descriptor(0, Data, 0, Next, 1);
        _ring.Descriptor(1, ulong.MaxValue, 0, Write);
        Assert.Equal(PopResult.Popped, _ring.Offer(0).Pop());
        Assert.Equal((2, 1), (_ring.Chain.Count, _ring.Chain.ReadableCount));
        Assert.True(_ring.Ram.Memory.TryAppend(ulong.MaxValue, 0, true, new IoVectors()));
    }

    [Fact]
    public void A_readable_buffer_after_a_writable_one_breaks_the_ring()
    {
        _ring.Descriptor(0, Data, 1, Write | Next, 1);
        _ring.Descriptor(1, Data, 1);
        _ring.Offer(0);
        _ring.AssertBroken("after a device-writable");
    }

    [Fact]
    public void A_readable_buffer_in_a_table_after_a_writable_one_outside_breaks_the_ring()
    {
        _ring.Descriptor(0, Data, 1, Write | Next, 1);
        _ring.Descriptor(1, Table, 16, Indirect);
        _ring.Entry(0, Data, 1);
        _ring.Offer(0);
        _ring.AssertBroken("after a device-writable");
    }

    [Fact]
    public void Undefined_flags_are_ignored()
    {
        _ring.Descriptor(0, Data, 1, (DescriptorFlags)0xfff8);
        Assert.Equal(PopResult.Popped, _ring.Offer(0).Pop());
        Assert.Equal(1, _ring.Chain.ReadableCount);
    }
}
