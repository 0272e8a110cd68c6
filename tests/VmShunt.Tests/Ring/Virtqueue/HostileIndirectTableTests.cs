using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;
using static VmShunt.Ring.Virtqueue.DescriptorFlags;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>Indirect tables that a driver may write, and what the device of a split queue does with them.</summary>
public sealed class HostileIndirectTableTests : IDisposable
{
    private const ulong Data = ScribbledSplitRing.Data, Table = ScribbledSplitRing.Table;

    private readonly ScribbledSplitRing _ring = new();

    public void Dispose() => _ring.Dispose();

    [Fact]
    public void An_indirect_table_that_was_not_negotiated_breaks_the_ring()
    {
        using var ring = new ScribbledSplitRing(indirect: false);
        ring.Descriptor(0, Table, 16, Indirect);
        ring.Offer(0);
        ring.AssertBroken("not negotiated");
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(1u)]
    [InlineData(15u)]
    [InlineData(17u)]
    [InlineData(uint.MaxValue)]
    public void An_indirect_table_of_an_invalid_length_breaks_the_ring(uint length)
    {
        _ring.Descriptor(0, Table, length, Indirect);
        _ring.Offer(0);
        _ring.AssertBroken("no multiple of 16");
    }

    [Theory]
    [InlineData(16u * 1025)]
    [InlineData(0x8000_0000u)]
    [InlineData(0xffff_fff0u)]
    public void An_indirect_table_that_is_too_large_breaks_the_ring(uint length)
    {
        _ring.Descriptor(0, Table, length, Indirect);
        _ring.Offer(0);
        _ring.AssertBroken("1024");
    }

    [Theory]
    [InlineData(0ul)]
    [InlineData(TestMemory.Start - 16)]
    [InlineData(TestMemory.Start + 0x2_0000 - 16)]
    [InlineData(TestMemory.Start + 0x2_0000)]
    [InlineData(ulong.MaxValue)]
    [InlineData(ulong.MaxValue - 15)]
    public void An_indirect_table_outside_memory_breaks_the_ring(ulong address)
    {
        _ring.Descriptor(0, address, 32, Indirect);
        _ring.Offer(0);
        _ring.AssertBroken("outside guest memory");
    }

    [Fact]
    public void An_indirect_descriptor_with_NEXT_breaks_the_ring()
    {
        _ring.Entry(0, Data, 1);
        _ring.Descriptor(0, Table, 16, Indirect | Next, 1);
        _ring.Descriptor(1, Table, 16, Indirect);
        _ring.Offer(0);
        _ring.AssertBroken("NEXT");
    }

    [Fact]
    public void A_nested_indirect_table_breaks_the_ring()
    {
        _ring.Entry(0, Data, 1, Next, 1);
        _ring.Entry(1, Table, 16, Indirect);
        _ring.Descriptor(0, Table, 32, Indirect);
        _ring.Offer(0);
        _ring.AssertBroken("inside an indirect table");
    }

    [Theory]
    [InlineData(2)]
    [InlineData(8)]
    [InlineData(65_535)]
    public void An_index_beyond_the_table_breaks_the_ring(ushort next)
    {
        _ring.Entry(0, Data, 1, Next, next);
        _ring.Entry(2, Data, 1);
        _ring.Descriptor(0, Table, 32, Indirect);
        _ring.Offer(0);
        _ring.AssertBroken("beyond the indirect table");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void A_loop_inside_a_table_breaks_the_ring(ushort next)
    {
        _ring.Entry(0, Data, 1, Next, 1);
        _ring.Entry(1, Data, 1, Next, next);
        _ring.Descriptor(0, Table, 32, Indirect);
        _ring.Offer(0);
        _ring.AssertBroken("loop");
    }

    [Fact]
    public void A_table_may_skip_entries_go_backwards_and_follow_direct_buffers()
    {
        // virtio 1.3 §2.7.5.3.2: the device ignores WRITE with INDIRECT, and accepts direct descriptors before the table.
        _ring.Descriptor(0, Data, 10, Next, 5);
        _ring.Descriptor(5, Table, 64, Indirect | Write);
        _ring.Entry(0, Data, 11, Next, 3);
        _ring.Entry(3, Data, 12, Next | Write, 1);
        _ring.Entry(1, Data, 13, Write, 0);
        _ring.Entry(2, ulong.MaxValue, uint.MaxValue, Indirect, 0);
        Assert.Equal(PopResult.Popped, _ring.Offer(0).Pop());
        Assert.Equal([10u, 11u], _ring.Chain.Readable.ToArray().Select(s => s.Length));
        Assert.Equal([12u, 13u], _ring.Chain.Writable.ToArray().Select(s => s.Length));
    }

    [Theory]
    [InlineData(1023, true)]
    [InlineData(1024, false)]
    public void No_chain_has_more_than_1024_buffers(int inTable, bool fits)
    {
        for (var i = 0; i < inTable; i++) _ring.Entry(i, Data, 1, i == inTable - 1 ? 0 : Next, (ushort)(i + 1));
        _ring.Descriptor(0, Data, 1, Next, 1);
        _ring.Descriptor(1, Table, (uint)(16 * inTable), Indirect);
        _ring.Offer(0);
        if (!fits)
        {
            _ring.AssertBroken("1024");
            return;
        }
        Assert.Equal(PopResult.Popped, _ring.Pop());
        Assert.Equal(1024, _ring.Chain.Count);
    }
}
