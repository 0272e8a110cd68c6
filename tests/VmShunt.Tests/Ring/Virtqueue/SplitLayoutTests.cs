using System.Runtime.CompilerServices;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>The bytes of a split ring in memory (virtio 1.3 §2.7), derived by hand.</summary>
public sealed class SplitLayoutTests : IDisposable
{
    private const int Size = 4;

    // Areas of a ring of four: 64 bytes of descriptors, 14 of available ring, 38 of used ring.
    private const ulong Descriptors = TestMemory.Start, Available = TestMemory.Start + 64, Used = TestMemory.Start + 80, Tables = TestMemory.Start + 4096;

    private readonly TestMemory _ram = new(8192);

    public void Dispose() => _ram.Dispose();

    [Theory]
    [InlineData(1, 16, 8, 14)]
    [InlineData(4, 64, 14, 38)]
    [InlineData(256, 4096, 518, 2054)]
    [InlineData(32768, 524_288, 65_542, 262_150)]
    public void The_areas_have_the_sizes_of_the_specification(int size, int descriptors, int available, int used)
    {
        Assert.Equal(descriptors, SplitLayout.DescriptorBytes(size));
        Assert.Equal(available, SplitLayout.AvailableBytes(size));
        Assert.Equal(used, SplitLayout.UsedBytes(size));
        Assert.Equal(available - 2, SplitLayout.UsedEvent(size));
        Assert.Equal(used - 2, SplitLayout.AvailableEvent(size));
        Assert.True(SplitLayout.IsValidSize(size));
        Assert.Equal(16, Unsafe.SizeOf<SplitDescriptor>());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(3)]
    [InlineData(255)]
    [InlineData(65_536)]
    [InlineData(int.MinValue)]
    [InlineData(int.MaxValue)]
    public void A_size_that_is_not_a_power_of_two_up_to_32768_is_refused(int size)
    {
        Assert.False(SplitLayout.IsValidSize(size));
        Assert.Throws<ArgumentOutOfRangeException>(() => new SplitDriverQueue(default, size, false));
        Assert.Throws<ArgumentOutOfRangeException>(() => new SplitDeviceQueue(_ram.Memory, default, size, 0, false, false));
    }

    [Theory]
    [InlineData(0, 1, 0, true)]
    [InlineData(0, 0, 0, false)]
    [InlineData(5, 5, 4, false)]
    [InlineData(4, 5, 4, true)]
    [InlineData(3, 5, 4, false)]
    [InlineData(6, 10, 4, true)]
    [InlineData(10, 10, 4, false)]
    [InlineData(65_535, 0, 65_535, true)]
    [InlineData(65_535, 3, 65_533, true)]
    [InlineData(2, 3, 65_533, true)]
    [InlineData(3, 3, 65_533, false)]
    [InlineData(65_532, 3, 65_533, false)]
    public void An_event_index_matches_every_step_that_passes_it(ushort eventIndex, ushort newIndex, ushort oldIndex, bool expected) =>
        Assert.Equal(expected, SplitLayout.NeedsEvent(eventIndex, newIndex, oldIndex));

    [Fact]
    public void A_new_ring_is_zeroed()
    {
        _ram.Span(TestMemory.Start, 8192).Fill(0xee);
        _ = Driver();
        Bytes(Descriptors, new string('0', 128));
        Bytes(Available, new string('0', 28));
        Bytes(Available + 14, "eeee");
        Bytes(Used, new string('0', 76));
        Bytes(Used + 38, "ee");
    }

    [Fact]
    public void A_direct_chain_has_the_layout_of_the_specification()
    {
        var driver = Driver();
        Assert.True(driver.TryAdd([new(0x1122334455667788, 0x10), new(0xabcd, 0x01020304), new(1, 1)], 1, 77));
        Bytes(Descriptors, "8877665544332211 10000000 0100 0100");
        Bytes(Descriptors + 16, "cdab000000000000 04030201 0300 0200");
        Bytes(Descriptors + 32, "0100000000000000 01000000 0200 0000");
        Bytes(Descriptors + 48, "0000000000000000 00000000 0000 0000");
        // The entry is added, the index is not published.
        Bytes(Available, "0000 0000 0000 0000 0000 0000 0000");
        driver.Publish();
        Bytes(Available, "0000 0100 0000 0000 0000 0000 0000");
        Assert.True(driver.TryAdd([new(0x99, 9)], 1, 78));
        driver.Publish();
        Bytes(Descriptors + 48, "9900000000000000 09000000 0000 0000");
        Bytes(Available, "0000 0200 0000 0300 0000 0000 0000");
    }

    [Fact]
    public void An_indirect_chain_has_the_layout_of_the_specification()
    {
        // Tables of two entries; the rest of the memory is unused.
        var driver = new SplitDriverQueue(Areas(), Size, false, _ram.Window(Tables, 40 * Size), Tables);
        Assert.True(driver.TryAdd([new(0xa, 1), new(0xb, 2)], 2, 0));
        Assert.True(driver.TryAdd([new(0xc, 3), new(0xd, 4)], 0, 1));
        Assert.True(driver.TryAdd([new(0xe, 5)], 0, 2));
        driver.Publish();
        Bytes(Descriptors, "0010004000000000 20000000 0400 0000");
        Bytes(Descriptors + 16, "2010004000000000 20000000 0400 0000");
        Bytes(Descriptors + 32, "0e00000000000000 05000000 0200 0000");
        Bytes(Tables, "0a00000000000000 01000000 0100 0100 0b00000000000000 02000000 0000 0000");
        Bytes(Tables + 32, "0c00000000000000 03000000 0300 0100 0d00000000000000 04000000 0200 0000");
        Bytes(Available, "0000 0300 0000 0100 0200 0000 0000");
        // Three buffers do not fit a table; they need three slots, and one is free.
        Assert.False(driver.TryAdd([new(0xa, 1), new(0xb, 2), new(0xc, 3)], 3, 3));
    }

    [Fact]
    public void Returned_chains_have_the_layout_of_the_specification()
    {
        var driver = Driver();
        var device = Device();
        var chain = new DescriptorChain();
        for (ushort i = 0; i < 2; i++) Assert.True(driver.TryAdd([new(1, 1), new(2, 2)], 1, i));
        driver.Publish();
        Assert.Equal(PopResult.Popped, device.TryPop(chain));
        var first = chain.Handle;
        Assert.Equal(PopResult.Popped, device.TryPop(chain));
        device.Return(chain.Handle, 0x01020304);
        device.Return(first, 5);
        Bytes(Used, "0000 0000 02000000 04030201 00000000 05000000");
        device.Publish();
        Bytes(Used, "0000 0200 02000000 04030201 00000000 05000000");
        Assert.Equal(2u, device.Position);
    }

    [Fact]
    public void Suppression_by_flags_has_the_layout_of_the_specification()
    {
        var driver = Driver();
        var device = Device();
        driver.Disarm();
        device.Disarm();
        Bytes(Available, "0100 0000");
        Bytes(Used, "0100 0000");
        driver.Arm();
        device.Arm();
        Bytes(Available, "0000 0000");
        Bytes(Used, "0000 0000");
    }

    [Fact]
    public void Suppression_by_event_index_has_the_layout_of_the_specification()
    {
        var driver = Driver(eventIndex: true);
        var device = Device(eventIndex: true);
        var chain = new DescriptorChain();
        for (var i = 0; i < 3; i++)
        {
            Assert.True(driver.TryAdd([new(1, 1)], 0, 0));
            driver.Publish();
            Assert.Equal(PopResult.Popped, device.TryPop(chain));
            device.Return(chain.Handle, 0);
            device.Publish();
            Assert.Equal(PopResult.Popped, driver.TryPopUsed(out _, out _));
        }
        driver.Disarm();
        device.Disarm();
        Bytes(Available + 12, "0000");
        Bytes(Used + 36, "0000");
        driver.Arm();
        device.Arm();
        // used_event and avail_event name the next entry; the flags stay zero (virtio 1.3 §2.7.7.1, §2.7.10.1).
        Bytes(Available + 12, "0300");
        Bytes(Used + 36, "0300");
        driver.Disarm();
        device.Disarm();
        Bytes(Available, "0000");
        Bytes(Used, "0000");
    }

    [Fact]
    public void The_index_wraps_from_65535_to_0_and_selects_entries_modulo_the_size()
    {
        var driver = Driver();
        // A device may start at any index; it returns chains from the used index in memory on.
        _ram.Window(Used, 38).Write<ushort>(2, 65_535);
        _ram.Window(Available, 14).Write<ushort>(2, 65_535);
        var device = new SplitDeviceQueue(_ram.Memory, Areas(), Size, 65_535, false, false);
        var chain = new DescriptorChain();
        Assert.Equal(PopResult.Empty, device.TryPop(chain));
        _ram.Window(Descriptors, 64).Write(16 * 2, new SplitDescriptor { Address = 0x22, Length = 2 });
        _ram.Window(Descriptors, 64).Write(16 * 1, new SplitDescriptor { Address = 0x11, Length = 1 });
        _ram.Window(Available, 14).Write<ushort>(4 + 2 * 3, 2);
        _ram.Window(Available, 14).Write<ushort>(4 + 2 * 0, 1);
        _ram.Window(Available, 14).Write<ushort>(2, 1);
        Assert.Equal(PopResult.Popped, device.TryPop(chain));
        Assert.Equal([new DescriptorChain.Segment(0x22, 2)], chain.Readable);
        device.Return(chain.Handle, 0x22);
        Assert.Equal(0u, device.Position);
        Assert.Equal(PopResult.Popped, device.TryPop(chain));
        Assert.Equal([new DescriptorChain.Segment(0x11, 1)], chain.Readable);
        device.Return(chain.Handle, 0x11);
        device.Publish();
        Assert.Equal(1u, device.Position);
        Bytes(Used, "0000 0100 01000000 11000000 00000000 00000000 00000000 00000000 02000000 22000000 0000");
        Assert.Null(driver.Fault);
    }

    [Fact]
    public void A_new_device_returns_chains_from_the_used_index_on()
    {
        var driver = Driver();
        var old = Device();
        var chain = new DescriptorChain();
        for (ushort i = 0; i < 3; i++) Assert.True(driver.TryAdd([new(1, 1)], 0, i));
        driver.Publish();
        for (var i = 0; i < 3; i++) Assert.Equal(PopResult.Popped, old.TryPop(chain));
        old.Return(new ChainHandle(0, 1), 10);
        old.Publish();
        // Two requests are still in flight: the next entries are the fourth available and the second used one.
        var next = new SplitDeviceQueue(_ram.Memory, Areas(), Size, (ushort)old.Position, false, false);
        next.Return(new ChainHandle(2, 1), 12);
        next.Return(new ChainHandle(1, 1), 11);
        Assert.True(next.Publish());
        Assert.Equal(3u, next.Position);
        foreach (var (expected, bytes) in ((ushort, uint)[])[(0, 10), (2, 12), (1, 11)])
        {
            Assert.Equal(PopResult.Popped, driver.TryPopUsed(out var token, out var written));
            Assert.Equal((expected, bytes), (token, written));
        }
    }

    private SplitAreas Areas() => new(_ram.Window(Descriptors, 64), _ram.Window(Available, 14), _ram.Window(Used, 38));

    private SplitDriverQueue Driver(bool eventIndex = false) => new(Areas(), Size, eventIndex);

    private SplitDeviceQueue Device(bool eventIndex = false) => new(_ram.Memory, Areas(), Size, 0, false, eventIndex);

    private void Bytes(ulong address, string hex)
    {
        var expected = Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal));
        Assert.Equal(Convert.ToHexString(expected), Convert.ToHexString(_ram.Span(address, expected.Length)));
    }
}
