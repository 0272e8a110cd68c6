using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>What a device may write into a split ring, and what the driver does with it.</summary>
public sealed class HostileSplitDeviceTests : IDisposable
{
    private const int Size = 8;

    private readonly TestMemory _ram = new(0x1_0000);
    private readonly MemoryWindow _used;
    private SplitDriverQueue _driver;
    private ushort _usedIndex;

    public HostileSplitDeviceTests()
    {
        var areas = SplitRing.Areas(_ram, Size);
        _used = areas.Used;
        _driver = new SplitDriverQueue(areas, Size, eventIndex: false);
    }

    public void Dispose() => _ram.Dispose();

    [Theory]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(9)]
    [InlineData(65_535)]
    public void A_used_index_ahead_of_what_is_in_flight_breaks_the_ring(int ahead)
    {
        Add(1, 10);
        Add(1, 11);
        Add(1, 12);
        Answer(0);
        Assert.Equal(10, Popped());
        _used.WriteUInt16Release(SplitLayout.Index, (ushort)(1 + ahead));
        AssertBroken("ahead");
        Assert.Equal(2, _driver.InFlight);
    }

    [Fact]
    public void A_used_index_with_nothing_in_flight_breaks_the_ring()
    {
        Answer(0);
        AssertBroken("ahead");
    }

    [Theory]
    [InlineData(7u)]
    [InlineData(8u)]
    [InlineData(0xffffu)]
    [InlineData(0x1_0000u)]
    [InlineData(uint.MaxValue)]
    public void A_used_entry_that_is_not_in_flight_breaks_the_ring(uint id)
    {
        Add(1, 10);
        Answer(id);
        AssertBroken("not in flight");
    }

    [Fact]
    public void A_chain_that_is_returned_twice_breaks_the_ring()
    {
        Add(1, 10);
        Add(1, 11);
        Answer(0);
        Answer(0);
        Assert.Equal(10, Popped());
        AssertBroken("not in flight");
        Assert.Equal(1, _driver.InFlight);
    }

    [Fact]
    public void A_used_entry_that_names_the_middle_of_a_chain_breaks_the_ring()
    {
        Add(3, 10);
        Answer(1);
        AssertBroken("not in flight");
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(5u)]
    [InlineData(uint.MaxValue)]
    public void The_written_length_is_reported_as_the_device_wrote_it(uint written)
    {
        Add(1, 10);
        Answer(0, written);
        Assert.Equal(PopResult.Popped, _driver.TryPopUsed(out var token, out var reported));
        Assert.Equal((10, written), (token, reported));
    }

    [Fact]
    public void The_free_list_survives_a_device_that_overwrites_the_descriptor_table()
    {
        var descriptors = _ram.Span(TestMemory.Start, SplitLayout.DescriptorBytes(Size));
        for (var round = 0; round < 50; round++)
        {
            for (ushort i = 0; i < 2; i++) Add(3, i);
            Add(2, 2);
            Assert.False(_driver.TryAdd([new(1, 1)], 0, 3));
            var heads = Heads(3);
            descriptors.Fill((byte)round);
            foreach (var i in (int[])[1, 2, 0])
            {
                Answer(heads[i]);
                Assert.Equal(i, Popped());
            }
        }
        Assert.Equal(0, _driver.InFlight);
    }

    [Fact]
    public void An_available_ring_that_the_device_overwrote_is_written_again()
    {
        for (ushort i = 0; i < 20; i++)
        {
            _ram.Span(TestMemory.Start + 128, SplitLayout.AvailableBytes(Size)).Fill(0xee);
            Add(1, i);
            var available = SplitRing.Areas(_ram, Size).Available;
            Assert.Equal(i + 1, available.Read<ushort>(SplitLayout.Index));
            Answer(available.Read<ushort>(SplitLayout.Ring + 2 * (i % Size)));
            Assert.Equal(i, Popped());
        }
    }

    private void Add(int buffers, ushort token)
    {
        Assert.True(_driver.TryAdd(Enumerable.Repeat(new QueueBuffer(TestMemory.Start, 1), buffers).ToArray(), 0, token));
        _driver.Publish();
    }

    private ushort[] Heads(int last)
    {
        var available = SplitRing.Areas(_ram, Size).Available;
        var index = available.Read<ushort>(SplitLayout.Index);
        return [.. Enumerable.Range(index - last, last).Select(i => available.Read<ushort>(SplitLayout.Ring + 2 * (i % Size)))];
    }

    private void Answer(uint id, uint written = 0)
    {
        _used.Write(SplitLayout.Ring + 8 * (_usedIndex % Size), id | (ulong)written << 32);
        _used.WriteUInt16Release(SplitLayout.Index, ++_usedIndex);
    }

    private int Popped()
    {
        Assert.Equal(PopResult.Popped, _driver.TryPopUsed(out var token, out _));
        return token;
    }

    private void AssertBroken(string why)
    {
        var inFlight = _driver.InFlight;
        Assert.Equal(PopResult.Broken, _driver.TryPopUsed(out _, out _));
        Assert.Contains(why, _driver.Fault, StringComparison.Ordinal);
        Answer(0);
        Assert.Equal(PopResult.Broken, _driver.TryPopUsed(out _, out _));
        Assert.False(_driver.TryAdd([new QueueBuffer(1, 1)], 0, 99));
        Assert.Equal(inFlight, _driver.InFlight);
    }
}
