using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>What both ends of a queue promise, whatever the ring's layout.</summary>
public abstract class QueueContractTests<TKind, TDriver, TDevice>
    where TKind : IRingKind<TDriver, TDevice>
    where TDriver : struct, IDriverQueue
    where TDevice : struct, IDeviceQueue
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_chain_arrives_as_it_was_described_and_comes_back_under_its_name(bool indirect)
    {
        using var pair = Pair(16, indirect);
        var data = pair.Data;
        for (var buffers = 1; buffers <= 12; buffers++)
        {
            for (var readable = 0; readable <= buffers; readable++)
            {
                var described = Enumerable.Range(0, buffers).Select(i => new QueueBuffer(data + (ulong)(i * 1000), (uint)(i * 7))).ToArray();
                var token = (ushort)(buffers * 100 + readable);
                Assert.True(pair.Driver.TryAdd(described, readable, token));
                pair.Driver.Publish();
                Assert.Equal(PopResult.Taken, pair.Device.TryTake(pair.Chain));
                var expected = described.Select(b => new DescriptorChain.Segment(b.Address, b.Length)).ToArray();
                Assert.Equal(expected.AsSpan(0, readable), pair.Chain.Readable);
                Assert.Equal(expected.AsSpan(readable), pair.Chain.Writable);
                Assert.Equal((buffers, readable), (pair.Chain.Count, pair.Chain.ReadableCount));
                pair.Device.Return(pair.Chain.Handle, uint.MaxValue - token);
                pair.Device.Publish();
                pair.TakeUsed(token, uint.MaxValue - token);
            }
        }
    }

    [Theory]
    [InlineData(false, 1)]
    [InlineData(false, 3)]
    [InlineData(true, 3)]
    public void A_chain_that_is_given_back_untaken_is_the_next_one_also_for_another_device(bool indirect, int buffers)
    {
        using var pair = Pair(8, indirect);
        var described = Enumerable.Range(0, buffers).Select(i => new QueueBuffer(pair.Data + (ulong)i * 8, 4)).ToArray();
        for (var round = 0; round < 40; round++)
        {
            Assert.True(pair.Driver.TryAdd(described, 0, 5));
            pair.Driver.Publish();
            for (var again = 0; again < 3; again++)
            {
                var position = pair.Device.Position;
                Assert.Equal(PopResult.Taken, pair.Device.TryTake(pair.Chain));
                Assert.Equal(buffers, pair.Chain.Count);
                Assert.True(pair.Device.TryUntake(pair.Chain.Handle));
                Assert.Equal(position, pair.Device.Position);
                Assert.False(pair.Device.HasPending);
                Assert.Equal(PopResult.Empty, pair.Driver.TryTakeUsed(out _, out _));
                Assert.True(pair.Device.Arm());
                if (again == 1) pair.ReplaceDevice();
            }
            Assert.Equal(PopResult.Taken, pair.Device.TryTake(pair.Chain));
            Assert.Equal(described.Select(b => new DescriptorChain.Segment(b.Address, b.Length)), pair.Chain.Writable.ToArray());
            pair.Device.Return(pair.Chain.Handle, 4);
            pair.Device.Publish();
            pair.TakeUsed(5, 4);
        }
    }

    [Fact]
    public void A_chain_cannot_be_untaken_while_another_is_out()
    {
        using var pair = Pair(8);
        for (ushort token = 1; token <= 3; token++) Assert.True(pair.Add(token));
        pair.Driver.Publish();
        var first = pair.Take(1);
        var second = pair.Take(2);
        Assert.False(pair.Device.TryUntake(second));
        pair.Device.Return(second, 1);
        // Out of order: what lies between the two ends of the ring is not the chain.
        Assert.False(pair.Device.TryUntake(first));
        pair.Device.Return(first, 1);
        pair.Device.Publish();
        var third = pair.Take(3);
        Assert.True(pair.Device.TryUntake(third));
        pair.Device.Return(pair.Take(3), 1);
        pair.Device.Publish();
        pair.TakeUsed(2, 1);
        pair.TakeUsed(1, 1);
        pair.TakeUsed(3, 1);
    }

    [Fact]
    public void Nothing_is_seen_before_it_is_published()
    {
        using var pair = Pair(8);
        Assert.Equal(PopResult.Empty, pair.Device.TryTake(pair.Chain));
        Assert.True(pair.Add(1));
        Assert.Equal(PopResult.Empty, pair.Device.TryTake(pair.Chain));
        pair.Driver.Publish();
        var handle = pair.Take(1);
        Assert.Equal(PopResult.Empty, pair.Device.TryTake(pair.Chain));
        Assert.Equal(PopResult.Empty, pair.Driver.TryTakeUsed(out _, out _));
        pair.Device.Return(handle, 1);
        Assert.Equal(PopResult.Empty, pair.Driver.TryTakeUsed(out _, out _));
        Assert.Equal(1, pair.Driver.InFlight);
        pair.Device.Publish();
        pair.TakeUsed(1, 1);
        Assert.Equal(0, pair.Driver.InFlight);
        Assert.Equal(PopResult.Empty, pair.Driver.TryTakeUsed(out _, out _));
        Assert.Null(pair.Driver.Fault);
        Assert.Null(pair.Device.Fault);
    }

    [Theory]
    [InlineData(1, false)]
    [InlineData(4, false)]
    [InlineData(256, true)]
    [InlineData(1024, false)]
    public void A_full_ring_takes_no_more_until_one_comes_back(int size, bool indirect)
    {
        using var pair = Pair(size, indirect);
        // Twice round, so that the second time the slots are in another order.
        for (var round = 0; round < 2; round++)
        {
            for (var i = 0; i < size; i++) Assert.True(pair.Add((ushort)i));
            Assert.False(pair.Add(60_000));
            Assert.Equal(size, pair.Driver.InFlight);
            pair.Driver.Publish();
            var handles = Enumerable.Range(0, size).Select(i => pair.Take((ushort)i)).ToArray();
            Assert.Equal(PopResult.Empty, pair.Device.TryTake(pair.Chain));
            Assert.False(pair.Add(60_000));

            var first = size / 2;
            pair.Device.Return(handles[first], 0);
            pair.Device.Publish();
            pair.TakeUsed((ushort)first, 0);
            Assert.True(pair.Add(50_000));
            Assert.False(pair.Add(60_000));
            pair.Driver.Publish();
            var last = pair.Take(50_000);
            for (var i = size - 1; i >= 0; i--)
            {
                if (i != first) pair.Device.Return(handles[i], (uint)i);
            }
            pair.Device.Return(last, 7);
            pair.Device.Publish();
            for (var i = size - 1; i >= 0; i--)
            {
                if (i != first) pair.TakeUsed((ushort)i, (uint)i);
            }
            pair.TakeUsed(50_000, 7);
            Assert.Equal(0, pair.Driver.InFlight);
        }
    }

    [Theory]
    [InlineData(4, false)]
    [InlineData(64, false)]
    [InlineData(64, true)]
    public void As_many_requests_of_three_buffers_as_the_capacity_says_fit(int size, bool indirect)
    {
        using var pair = Pair(size, indirect);
        QueueBuffer[] request = [new(pair.Data, 16), new(pair.Data + 512, 512), new(pair.Data + 1024, 1)];
        for (var i = 0; i < pair.Driver.Capacity; i++) Assert.True(pair.Driver.TryAdd(request, 1, (ushort)i));
        Assert.False(pair.Driver.TryAdd(request, 1, 60_000));
        pair.Driver.Publish();
        for (var i = 0; i < pair.Driver.Capacity; i++)
        {
            Assert.Equal(PopResult.Taken, pair.Device.TryTake(pair.Chain));
            Assert.Equal((3, 1), (pair.Chain.Count, pair.Chain.ReadableCount));
        }
        Assert.Equal(PopResult.Empty, pair.Device.TryTake(pair.Chain));
        Assert.Equal(indirect ? size - 2 * TKind.DirectRequests(size) : size / 3, pair.Driver.Capacity);
    }

    [Fact]
    public void A_chain_longer_than_the_ring_is_refused_and_leaves_no_trace()
    {
        using var pair = Pair(4);
        var buffers = Enumerable.Repeat(new QueueBuffer(pair.Data, 1), 5).ToArray();
        Assert.False(pair.Driver.TryAdd(buffers, 5, 1));
        Assert.True(pair.Driver.TryAdd(buffers.AsSpan(1), 4, 2));
        pair.Driver.Publish();
        Assert.Equal(PopResult.Taken, pair.Device.TryTake(pair.Chain));
        Assert.Equal((4, 4), (pair.Chain.Count, pair.Chain.ReadableCount));
        Assert.Equal(PopResult.Empty, pair.Device.TryTake(pair.Chain));
    }

    [Fact]
    public void Requests_may_complete_in_any_order()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        using var pair = Pair(32);
        for (var round = 0; round < 200; round++)
        {
            for (var i = 0; i < 32; i++) Assert.True(pair.Add((ushort)i), $"seed {seed}, round {round}");
            pair.Driver.Publish();
            var handles = Enumerable.Range(0, 32).Select(i => pair.Take((ushort)i)).ToArray();
            var order = Enumerable.Range(0, 32).ToArray();
            random.Shuffle(order);
            foreach (var i in order) pair.Device.Return(handles[i], (uint)i * 3);
            pair.Device.Publish();
            foreach (var i in order) pair.TakeUsed((ushort)i, (uint)i * 3);
        }
    }

    [Theory]
    [InlineData(1, false)]
    [InlineData(8, false)]
    [InlineData(8, true)]
    [InlineData(512, false)]
    public void The_indices_wrap_unnoticed(int size, bool indirect)
    {
        using var pair = Pair(size, indirect);
        pair.Advance(65_536 - 3);
        var batch = Math.Min(size, 5);
        for (var round = 0; round < 8; round++)
        {
            for (var i = 0; i < batch; i++) Assert.True(pair.Add((ushort)(round * 10 + i)));
            pair.Driver.Publish();
            for (var i = 0; i < batch; i++) pair.Device.Return(pair.Take((ushort)(round * 10 + i)), (uint)i);
            pair.Device.Publish();
            for (var i = 0; i < batch; i++) pair.TakeUsed((ushort)(round * 10 + i), (uint)i);
            Assert.Equal(PopResult.Empty, pair.Device.TryTake(pair.Chain));
            Assert.Equal(PopResult.Empty, pair.Driver.TryTakeUsed(out _, out _));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(65_535)]
    public void A_new_device_goes_on_where_the_old_one_stopped(int advance)
    {
        using var pair = Pair(8);
        pair.Advance(advance);
        for (ushort i = 0; i < 4; i++) Assert.True(pair.Add(i));
        pair.Driver.Publish();
        pair.Device.Return(pair.Take(0), 10);
        pair.Device.Return(pair.Take(1), 11);
        pair.Device.Publish();
        pair.ReplaceDevice();
        pair.Device.Return(pair.Take(2), 12);
        pair.Device.Return(pair.Take(3), 13);
        pair.Device.Publish();
        Assert.Equal(PopResult.Empty, pair.Device.TryTake(pair.Chain));
        for (ushort i = 0; i < 4; i++) pair.TakeUsed(i, 10u + i);
    }

    [Fact]
    public void A_taken_chain_is_a_copy_that_the_driver_can_no_longer_change()
    {
        using var pair = Pair(8, indirect: true);
        for (ushort i = 0; i < 2; i++) Assert.True(pair.Driver.TryAdd([new QueueBuffer(pair.Data, 16), new QueueBuffer(pair.Data + 64, 8)], 1, i));
        pair.Driver.Publish();
        Assert.Equal(PopResult.Taken, pair.Device.TryTake(pair.Chain));
        pair.Ram.Span(TestMemory.Start, pair.Ram.Bytes).Fill(0xff);
        Assert.Equal([new DescriptorChain.Segment(pair.Data, 16)], pair.Chain.Readable);
        Assert.Equal([new DescriptorChain.Segment(pair.Data + 64, 8)], pair.Chain.Writable);
        // A split ring is broken now; in a packed one these flags say that nothing is available.
        Assert.Equal(typeof(TKind) == typeof(SplitRing) ? PopResult.Broken : PopResult.Empty, pair.Device.TryTake(pair.Chain));
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void A_request_allocates_nothing_on_either_side(bool indirect, bool eventIndex)
    {
        using var pair = Pair(64, indirect, eventIndex);
        Work(pair);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Work(pair);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static void Work(QueuePair<TKind, TDriver, TDevice> pair)
    {
        ReadOnlySpan<QueueBuffer> buffers = [new(pair.Data, 16), new(pair.Data + 512, 512), new(pair.Data + 1024, 1)];
        for (var i = 0; i < 20_000; i++)
        {
            for (ushort n = 0; n < 4; n++) pair.Driver.TryAdd(buffers, 1, n);
            pair.Driver.Publish();
            pair.Driver.Arm();
            pair.Device.Arm();
            while (pair.Device.TryTake(pair.Chain) == PopResult.Taken) pair.Device.Return(pair.Chain.Handle, 1);
            pair.Device.Disarm();
            pair.Device.Publish();
            while (pair.Driver.TryTakeUsed(out _, out _) == PopResult.Taken)
            {
            }
            pair.Driver.Disarm();
        }
    }

    private static QueuePair<TKind, TDriver, TDevice> Pair(int size, bool indirect = false, bool eventIndex = false) =>
        new(new QueueOptions(size, indirect, eventIndex));
}
