using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;
using static VmShunt.Ring.Virtqueue.DescriptorFlags;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>What a guest may write into a split ring, and what the device's end makes of it.</summary>
public sealed class HostileSplitDriverTests : IDisposable
{
    private const ulong Data = TestMemory.Start + 0x1_8000, Table = ScribbledSplitRing.Table;

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
        Assert.Equal(PopResult.Taken, _ring.Take());
        _ring.SetAvailable(0);
        _ring.AssertBroken("ahead");
    }

    [Fact]
    public void An_index_ahead_by_exactly_the_size_is_a_full_ring()
    {
        _ring.Descriptor(0, Data, 1);
        _ring.SetAvailable(ScribbledSplitRing.Size);
        for (var i = 0; i < ScribbledSplitRing.Size; i++) Assert.Equal(PopResult.Taken, _ring.Take());
        Assert.Equal(PopResult.Empty, _ring.Take());
    }

    [Fact]
    public void The_same_head_again_and_again_is_the_drivers_own_trouble()
    {
        _ring.Descriptor(3, Data, 1, Write);
        for (var i = 0; i < 100; i++)
        {
            _ring.Offer(3).Offer(3);
            Assert.Equal(PopResult.Taken, _ring.Take());
            var first = _ring.Chain.Handle;
            Assert.Equal(PopResult.Taken, _ring.Take());
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
    public void A_next_beyond_the_table_means_nothing_without_its_flag()
    {
        _ring.Descriptor(0, Data, 1, 0, 65_535);
        Assert.Equal(PopResult.Taken, _ring.Offer(0).Take());
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
    public void A_loop_behind_good_descriptors_breaks_the_ring()
    {
        for (ushort i = 0; i < 5; i++) _ring.Descriptor(i, Data, 1, Next, (ushort)(i + 1));
        _ring.Descriptor(5, Data, 1, Next, 4);
        _ring.Offer(0);
        _ring.AssertBroken("loop");
    }

    [Fact]
    public void A_chain_as_long_as_the_queue_is_taken()
    {
        for (ushort i = 0; i < 8; i++) _ring.Descriptor(i, Data + i, i, i == 7 ? Write : Next, (ushort)(i + 1));
        Assert.Equal(PopResult.Taken, _ring.Offer(0).Take());
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
    public void An_address_outside_memory_is_taken_and_then_refused_by_the_memory(ulong address, uint length)
    {
        _ring.Descriptor(0, address, length, Write);
        Assert.Equal(PopResult.Taken, _ring.Offer(0).Take());
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
    public void Empty_buffers_are_buffers()
    {
        _ring.Descriptor(0, Data, 0, Next, 1);
        _ring.Descriptor(1, ulong.MaxValue, 0, Write);
        Assert.Equal(PopResult.Taken, _ring.Offer(0).Take());
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
    public void Flags_that_mean_nothing_are_passed_over()
    {
        _ring.Descriptor(0, Data, 1, (DescriptorFlags)0xfff8);
        Assert.Equal(PopResult.Taken, _ring.Offer(0).Take());
        Assert.Equal(1, _ring.Chain.ReadableCount);
    }

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
    public void An_indirect_table_of_a_length_that_cannot_be_breaks_the_ring(uint length)
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
    public void An_indirect_table_that_also_goes_on_breaks_the_ring()
    {
        _ring.Entry(0, Data, 1);
        _ring.Descriptor(0, Table, 16, Indirect | Next, 1);
        _ring.Descriptor(1, Table, 16, Indirect);
        _ring.Offer(0);
        _ring.AssertBroken("NEXT");
    }

    [Fact]
    public void A_table_inside_a_table_breaks_the_ring()
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
        // virtio 1.3 §2.7.5.3.2: the device ignores WRITE beside INDIRECT, and takes direct descriptors before the table.
        _ring.Descriptor(0, Data, 10, Next, 5);
        _ring.Descriptor(5, Table, 64, Indirect | Write);
        _ring.Entry(0, Data, 11, Next, 3);
        _ring.Entry(3, Data, 12, Next | Write, 1);
        _ring.Entry(1, Data, 13, Write, 0);
        _ring.Entry(2, ulong.MaxValue, uint.MaxValue, Indirect, 0);
        Assert.Equal(PopResult.Taken, _ring.Offer(0).Take());
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
        Assert.Equal(PopResult.Taken, _ring.Take());
        Assert.Equal(1024, _ring.Chain.Count);
    }

    [Fact]
    public void What_was_taken_before_the_ring_broke_can_still_be_returned()
    {
        _ring.Descriptor(0, Data, 1, Write);
        _ring.Offer(0).Offer(9);
        Assert.Equal(PopResult.Taken, _ring.Take());
        var handle = _ring.Chain.Handle;
        _ring.AssertBroken("beyond the queue's size");
        _ring.Device.Return(handle, 1);
        Assert.True(_ring.Device.Publish());
        Assert.Equal((ushort)1, _ring.Used.Read<ushort>(SplitLayout.Index));
        // A driver that sets the ring up anew goes on.
        var anew = new SplitDeviceQueue(_ring.Ram.Memory, SplitRing.Areas(_ring.Ram, 8), 8, (ushort)_ring.Device.Position, true, false);
        _ring.SetAvailable(2);
        _ring.Available.Write<ushort>(SplitLayout.Ring + 2, 0);
        Assert.Equal(PopResult.Taken, anew.TryTake(_ring.Chain));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Poisoned_suppression_words_cost_a_signal_at_most(bool eventIndex)
    {
        using var ring = new ScribbledSplitRing(eventIndex: eventIndex);
        ring.Descriptor(0, Data, 1, Write);
        for (var i = 0; i < 70_000; i += 7)
        {
            ring.Available.Write(0, (ushort)i);
            ring.Available.Write(SplitLayout.UsedEvent(8), (ushort)(i * 31));
            ring.Used.Write(SplitLayout.AvailableEvent(8), (ushort)(i * 17));
            Assert.Equal(PopResult.Taken, ring.Offer(0).Take());
            ring.Device.Return(ring.Chain.Handle, 1);
            ring.Device.Publish();
            Assert.False(ring.Device.Arm());
        }
    }

    [Fact]
    public void A_scribbled_used_ring_is_written_over()
    {
        _ring.Descriptor(0, Data, 1, Write);
        _ring.Offer(0).Offer(0);
        Assert.Equal(PopResult.Taken, _ring.Take());
        _ring.Used.Span.Fill(0xff);
        _ring.Device.Return(_ring.Chain.Handle, 5);
        _ring.Device.Publish();
        Assert.Equal(1, _ring.Used.Read<ushort>(SplitLayout.Index));
        Assert.Equal(5ul << 32, _ring.Used.Read<ulong>(SplitLayout.Ring));
        Assert.Equal(PopResult.Taken, _ring.Take());
    }

    [Fact]
    public void Descriptors_that_change_while_they_are_read_give_a_whole_chain_or_a_broken_ring()
    {
        // A second thread flips every field between good and bad; what the device takes must hold together all the same.
        var seed = Environment.TickCount;
        using var ready = new ManualResetEventSlim();
        var stop = new SharedFlag();
        var scribbler = new Thread(() =>
        {
            var random = new Random(seed);
            ready.Set();
            while (!stop.IsRaised) Scribble(_ring, random);
        });
        scribbler.Start();
        ready.Wait();
        try
        {
            int taken = 0, broken = 0;
            for (var i = 0; i < 100_000 || ((taken == 0 || broken == 0) && i < 50_000_000); i++)
            {
                var device = new SplitDeviceQueue(_ring.Ram.Memory, SplitRing.Areas(_ring.Ram, 8), 8, 0, true, false);
                _ring.SetAvailable(8);
                while (device.TryTake(_ring.Chain) == PopResult.Taken)
                {
                    taken++;
                    AssertWhole(_ring.Chain, $"seed {seed}");
                }
                if (device.Fault is not null) broken++;
            }
            Assert.True(taken > 0 && broken > 0, $"seed {seed}: {taken} taken, {broken} broken");
        }
        finally
        {
            stop.Raise();
            scribbler.Join();
        }
    }

    [Fact]
    public void Rings_of_noise_are_taken_or_broken_and_nothing_else()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        int taken = 0, broken = 0;
        for (var round = 0; round < 50_000; round++)
        {
            for (var i = 0; i < 6; i++) Scribble(_ring, random);
            _ring.SetAvailable((ushort)random.Next(random.Next(10) == 0 ? 65_536 : 9));
            var device = new SplitDeviceQueue(_ring.Ram.Memory, SplitRing.Areas(_ring.Ram, 8), 8, 0, random.Next(8) > 0, random.Next(2) == 0);
            while (device.TryTake(_ring.Chain) == PopResult.Taken)
            {
                taken++;
                AssertWhole(_ring.Chain, $"seed {seed}, round {round}");
                device.Return(_ring.Chain.Handle, 1);
                device.Publish();
            }
            if (device.Fault is not null) broken++;
        }
        Assert.True(taken > 0 && broken > 0, $"seed {seed}: {taken} taken, {broken} broken");
    }

    private static void Scribble(ScribbledSplitRing ring, Random random)
    {
        ulong address = random.Next(8) switch { 0 => ulong.MaxValue - (ulong)random.Next(64), 1 => (ulong)random.NextInt64(), < 5 => Table, _ => Data };
        uint length = random.Next(8) switch { 0 => uint.MaxValue, 1 => (uint)random.Next(100), _ => 16u * (uint)random.Next(1, 9) };
        var flags = random.Next(16) == 0 ? (DescriptorFlags)random.Next(65_536) : (DescriptorFlags)random.Next(5);
        var next = (ushort)random.Next(random.Next(16) == 0 ? 65_536 : 8);
        if (random.Next(2) == 0) ring.Descriptor(random.Next(8), address, length, flags, next);
        else ring.Entry(random.Next(8), address, length, flags, next);
        ring.Available.Write(SplitLayout.Ring + 2 * random.Next(8), (ushort)random.Next(random.Next(16) == 0 ? 65_536 : 8));
    }

    private static void AssertWhole(DescriptorChain chain, string where)
    {
        // Eight direct descriptors, the last of them a table of at most eight that the scribbler names (or 1024 by a wild length).
        if (chain.Count is < 1 or > DescriptorChain.MaxSegments) Assert.Fail($"{where}: {chain.Count} buffers");
        if (chain.Readable.Length + chain.Writable.Length != chain.Count) Assert.Fail($"{where}: {chain.ReadableCount} of {chain.Count}");
        if (chain.Handle.Id >= ScribbledSplitRing.Size) Assert.Fail($"{where}: head {chain.Handle.Id}");
        foreach (var segment in chain.Readable) AssertFits(segment, where);
        foreach (var segment in chain.Writable) AssertFits(segment, where);
    }

    private static void AssertFits(DescriptorChain.Segment segment, string where)
    {
        if (segment.Address > ulong.MaxValue - segment.Length) Assert.Fail($"{where}: {segment} overflows");
    }
}
