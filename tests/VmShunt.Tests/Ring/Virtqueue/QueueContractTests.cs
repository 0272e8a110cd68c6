using CsCheck;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>The contract of both ends of a queue, in both ring layouts.</summary>
public abstract class QueueContractTests<TKind, TDriver, TDevice>
    where TKind : IRingKind<TDriver, TDevice>
    where TDriver : struct, IDriverQueue
    where TDevice : struct, IDeviceQueue
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_device_pops_the_buffers_that_were_added_and_the_completion_carries_their_token(bool indirect)
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
                Assert.Equal(PopResult.Popped, pair.Device.TryPop(pair.Chain));
                var expected = described.Select(b => new DescriptorChain.Segment(b.Address, b.Length)).ToArray();
                Assert.Equal(expected.AsSpan(0, readable), pair.Chain.Readable);
                Assert.Equal(expected.AsSpan(readable), pair.Chain.Writable);
                Assert.Equal((buffers, readable), (pair.Chain.Count, pair.Chain.ReadableCount));
                pair.Device.Return(pair.Chain.Handle, uint.MaxValue - token);
                pair.Device.Publish();
                pair.PopUsed(token, uint.MaxValue - token);
            }
        }
    }

    [Theory]
    [InlineData(false, 1)]
    [InlineData(false, 3)]
    [InlineData(true, 3)]
    public void An_unpopped_chain_is_popped_next_also_by_another_device(bool indirect, int buffers)
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
                Assert.Equal(PopResult.Popped, pair.Device.TryPop(pair.Chain));
                Assert.Equal(buffers, pair.Chain.Count);
                Assert.True(pair.Device.TryUnpop(pair.Chain.Handle));
                Assert.Equal(position, pair.Device.Position);
                Assert.False(pair.Device.HasPending);
                Assert.Equal(PopResult.Empty, pair.Driver.TryPopUsed(out _, out _));
                Assert.True(pair.Device.Arm());
                if (again == 1) pair.ReplaceDevice();
            }
            Assert.Equal(PopResult.Popped, pair.Device.TryPop(pair.Chain));
            Assert.Equal(described.Select(b => new DescriptorChain.Segment(b.Address, b.Length)), pair.Chain.Writable.ToArray());
            pair.Device.Return(pair.Chain.Handle, 4);
            pair.Device.Publish();
            pair.PopUsed(5, 4);
        }
    }

    [Fact]
    public void A_chain_cannot_be_unpopped_while_an_earlier_one_is_in_flight()
    {
        using var pair = Pair(8);
        for (ushort token = 1; token <= 3; token++) Assert.True(pair.Add(token));
        pair.Driver.Publish();
        var first = pair.Pop(1);
        var second = pair.Pop(2);
        Assert.False(pair.Device.TryUnpop(second));
        pair.Device.Return(second, 1);
        // Returned out of order: the entry at the used position is another chain's.
        Assert.False(pair.Device.TryUnpop(first));
        pair.Device.Return(first, 1);
        pair.Device.Publish();
        var third = pair.Pop(3);
        Assert.True(pair.Device.TryUnpop(third));
        pair.Device.Return(pair.Pop(3), 1);
        pair.Device.Publish();
        pair.PopUsed(2, 1);
        pair.PopUsed(1, 1);
        pair.PopUsed(3, 1);
    }

    [Fact]
    public void Chains_and_completions_are_visible_only_after_their_publish()
    {
        using var pair = Pair(8);
        Assert.Equal(PopResult.Empty, pair.Device.TryPop(pair.Chain));
        Assert.True(pair.Add(1));
        Assert.Equal(PopResult.Empty, pair.Device.TryPop(pair.Chain));
        pair.Driver.Publish();
        var handle = pair.Pop(1);
        Assert.Equal(PopResult.Empty, pair.Device.TryPop(pair.Chain));
        Assert.Equal(PopResult.Empty, pair.Driver.TryPopUsed(out _, out _));
        pair.Device.Return(handle, 1);
        Assert.Equal(PopResult.Empty, pair.Driver.TryPopUsed(out _, out _));
        Assert.Equal(1, pair.Driver.InFlight);
        pair.Device.Publish();
        pair.PopUsed(1, 1);
        Assert.Equal(0, pair.Driver.InFlight);
        Assert.Equal(PopResult.Empty, pair.Driver.TryPopUsed(out _, out _));
        Assert.Null(pair.Driver.Fault);
        Assert.Null(pair.Device.Fault);
    }

    [Theory]
    [InlineData(1, false)]
    [InlineData(4, false)]
    [InlineData(256, true)]
    [InlineData(1024, false)]
    public void A_full_ring_accepts_no_request_until_one_completes(int size, bool indirect)
    {
        using var pair = Pair(size, indirect);
        // Two rounds: in the second, the free slots are in another order.
        for (var round = 0; round < 2; round++)
        {
            for (var i = 0; i < size; i++) Assert.True(pair.Add((ushort)i));
            Assert.False(pair.Add(60_000));
            Assert.Equal(size, pair.Driver.InFlight);
            pair.Driver.Publish();
            var handles = Enumerable.Range(0, size).Select(i => pair.Pop((ushort)i)).ToArray();
            Assert.Equal(PopResult.Empty, pair.Device.TryPop(pair.Chain));
            Assert.False(pair.Add(60_000));

            var first = size / 2;
            pair.Device.Return(handles[first], 0);
            pair.Device.Publish();
            pair.PopUsed((ushort)first, 0);
            Assert.True(pair.Add(50_000));
            Assert.False(pair.Add(60_000));
            pair.Driver.Publish();
            var last = pair.Pop(50_000);
            for (var i = size - 1; i >= 0; i--)
            {
                if (i != first) pair.Device.Return(handles[i], (uint)i);
            }
            pair.Device.Return(last, 7);
            pair.Device.Publish();
            for (var i = size - 1; i >= 0; i--)
            {
                if (i != first) pair.PopUsed((ushort)i, (uint)i);
            }
            pair.PopUsed(50_000, 7);
            Assert.Equal(0, pair.Driver.InFlight);
        }
    }

    [Theory]
    [InlineData(4, false)]
    [InlineData(64, false)]
    [InlineData(64, true)]
    public void The_capacity_is_how_many_requests_of_three_buffers_fit(int size, bool indirect)
    {
        using var pair = Pair(size, indirect);
        QueueBuffer[] request = [new(pair.Data, 16), new(pair.Data + 512, 512), new(pair.Data + 1024, 1)];
        for (var i = 0; i < pair.Driver.Capacity; i++) Assert.True(pair.Driver.TryAdd(request, 1, (ushort)i));
        Assert.False(pair.Driver.TryAdd(request, 1, 60_000));
        pair.Driver.Publish();
        for (var i = 0; i < pair.Driver.Capacity; i++)
        {
            Assert.Equal(PopResult.Popped, pair.Device.TryPop(pair.Chain));
            Assert.Equal((3, 1), (pair.Chain.Count, pair.Chain.ReadableCount));
        }
        Assert.Equal(PopResult.Empty, pair.Device.TryPop(pair.Chain));
        Assert.Equal(indirect ? size - 2 * TKind.DirectRequests(size) : size / 3, pair.Driver.Capacity);
    }

    [Fact]
    public void A_chain_longer_than_the_ring_is_refused_and_changes_nothing()
    {
        using var pair = Pair(4);
        var buffers = Enumerable.Repeat(new QueueBuffer(pair.Data, 1), 5).ToArray();
        Assert.False(pair.Driver.TryAdd(buffers, 5, 1));
        Assert.True(pair.Add(2));
        // Longer than what is free now: the chain in flight keeps its descriptor.
        Assert.False(pair.Driver.TryAdd(buffers.AsSpan(1), 4, 3));
        Assert.True(pair.Driver.TryAdd(buffers.AsSpan(2), 3, 4));
        Assert.False(pair.Driver.TryAdd(buffers, 5, 5));
        Assert.False(pair.Add(6));
        pair.Driver.Publish();
        pair.Pop(2);
        Assert.Equal(PopResult.Popped, pair.Device.TryPop(pair.Chain));
        Assert.Equal((3, 3), (pair.Chain.Count, pair.Chain.ReadableCount));
        Assert.Equal(PopResult.Empty, pair.Device.TryPop(pair.Chain));
    }

    [Fact]
    public void Requests_may_complete_in_any_order()
    {
        using var pair = Pair(32);
        var tokens = Enumerable.Range(0, 32).ToArray();
        Gen.Shuffle(tokens).Sample(
            order =>
            {
                foreach (var token in tokens) Assert.True(pair.Add((ushort)token));
                pair.Driver.Publish();
                var handles = Array.ConvertAll(tokens, token => pair.Pop((ushort)token));
                foreach (var token in order) pair.Device.Return(handles[token], (uint)token * 3);
                pair.Device.Publish();
                foreach (var token in order) pair.PopUsed((ushort)token, (uint)token * 3);
            },
            iter: 200,
            threads: 1);
    }

    [Theory]
    [InlineData(1, false)]
    [InlineData(8, false)]
    [InlineData(8, true)]
    [InlineData(512, false)]
    public void Requests_complete_across_the_wrap_of_the_indices(int size, bool indirect)
    {
        using var pair = Pair(size, indirect);
        pair.Advance(65_536 - 3);
        var batch = Math.Min(size, 5);
        for (var round = 0; round < 8; round++)
        {
            for (var i = 0; i < batch; i++) Assert.True(pair.Add((ushort)(round * 10 + i)));
            pair.Driver.Publish();
            for (var i = 0; i < batch; i++) pair.Device.Return(pair.Pop((ushort)(round * 10 + i)), (uint)i);
            pair.Device.Publish();
            for (var i = 0; i < batch; i++) pair.PopUsed((ushort)(round * 10 + i), (uint)i);
            Assert.Equal(PopResult.Empty, pair.Device.TryPop(pair.Chain));
            Assert.Equal(PopResult.Empty, pair.Driver.TryPopUsed(out _, out _));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(65_535)]
    public void A_new_device_continues_where_the_old_one_stopped(int advance)
    {
        using var pair = Pair(8);
        pair.Advance(advance);
        for (ushort i = 0; i < 4; i++) Assert.True(pair.Add(i));
        pair.Driver.Publish();
        pair.Device.Return(pair.Pop(0), 10);
        pair.Device.Return(pair.Pop(1), 11);
        pair.Device.Publish();
        pair.ReplaceDevice();
        pair.Device.Return(pair.Pop(2), 12);
        pair.Device.Return(pair.Pop(3), 13);
        pair.Device.Publish();
        Assert.Equal(PopResult.Empty, pair.Device.TryPop(pair.Chain));
        for (ushort i = 0; i < 4; i++) pair.PopUsed(i, 10u + i);
    }

    [Fact]
    public void A_popped_chain_is_a_copy_that_the_driver_cannot_change()
    {
        using var pair = Pair(8, indirect: true);
        for (ushort i = 0; i < 2; i++) Assert.True(pair.Driver.TryAdd([new QueueBuffer(pair.Data, 16), new QueueBuffer(pair.Data + 64, 8)], 1, i));
        pair.Driver.Publish();
        Assert.Equal(PopResult.Popped, pair.Device.TryPop(pair.Chain));
        pair.Ram.Span(TestMemory.Start, pair.Ram.Bytes).Fill(0xff);
        Assert.Equal([new DescriptorChain.Segment(pair.Data, 16)], pair.Chain.Readable);
        Assert.Equal([new DescriptorChain.Segment(pair.Data + 64, 8)], pair.Chain.Writable);
        // A split ring is broken now. In a packed ring, these flags mean that nothing is available.
        Assert.Equal(typeof(TKind) == typeof(SplitRing) ? PopResult.Broken : PopResult.Empty, pair.Device.TryPop(pair.Chain));
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
            while (pair.Device.TryPop(pair.Chain) == PopResult.Popped) pair.Device.Return(pair.Chain.Handle, 1);
            pair.Device.Disarm();
            pair.Device.Publish();
            while (pair.Driver.TryPopUsed(out _, out _) == PopResult.Popped)
            {
            }
            pair.Driver.Disarm();
        }
    }

    private static QueuePair<TKind, TDriver, TDevice> Pair(int size, bool indirect = false, bool eventIndex = false) =>
        new(new QueueOptions(size, indirect, eventIndex));
}
