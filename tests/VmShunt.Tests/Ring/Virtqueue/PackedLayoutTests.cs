using System.Runtime.CompilerServices;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>The bytes of a packed ring in memory (virtio 1.3 §2.8), derived by hand. The low byte of the flags comes first.</summary>
public sealed class PackedLayoutTests : IDisposable
{
    private const int Size = 4;

    // A ring of four: 64 bytes of descriptors, then the event areas of driver and device.
    private const ulong Descriptors = TestMemory.Start, DriverEvent = TestMemory.Start + 64, DeviceEvent = TestMemory.Start + 68, Tables = TestMemory.Start + 4096;

    private readonly TestMemory _ram = new(8192);
    private readonly DescriptorChain _chain = new();

    public void Dispose() => _ram.Dispose();

    [Theory]
    [InlineData(1, true)]
    [InlineData(3, true)]
    [InlineData(32_768, true)]
    [InlineData(0, false)]
    [InlineData(-1, false)]
    [InlineData(32_769, false)]
    [InlineData(int.MaxValue, false)]
    public void A_size_from_1_to_32768_is_valid(int size, bool valid)
    {
        Assert.Equal(valid, PackedLayout.IsValidSize(size));
        Assert.Equal(16, Unsafe.SizeOf<PackedDescriptor>());
        if (valid)
        {
            Assert.Equal(16 * size, PackedLayout.DescriptorBytes(size));
            return;
        }
        Assert.Throws<ArgumentOutOfRangeException>(() => new PackedDriverQueue(default, size, false));
        Assert.Throws<ArgumentOutOfRangeException>(() => new PackedDeviceQueue(_ram.Memory, default, size, 0, false, false));
    }

    [Fact]
    public void A_new_ring_is_zeroed()
    {
        _ram.Span(TestMemory.Start, 8192).Fill(0xee);
        _ = Driver();
        Bytes(Descriptors, new string('0', 2 * 72));
        Bytes(DeviceEvent + 4, "eeee");
    }

    [Fact]
    public void A_direct_chain_has_the_layout_of_the_specification()
    {
        var driver = Driver();
        Assert.True(driver.TryAdd([new(0x1122334455667788, 0x10), new(0xabcd, 0x01020304), new(1, 1)], 1, 77));
        Bytes(Descriptors, new string('0', 2 * 64));
        driver.Publish();
        // Wrap counter 1: AVAIL (80h in the low byte) and no USED. NEXT is 1, WRITE 2. All carry the id.
        Bytes(Descriptors, "8877665544332211 10000000 0000 8100");
        Bytes(Descriptors + 16, "cdab000000000000 04030201 0000 8300");
        Bytes(Descriptors + 32, "0100000000000000 01000000 0000 8200");
        Bytes(Descriptors + 48, "0000000000000000 00000000 0000 0000");
    }

    [Fact]
    public void An_indirect_chain_has_the_layout_of_the_specification()
    {
        var driver = new PackedDriverQueue(Areas(), Size, false, _ram.Window(Tables, 48 * Size), Tables);
        Assert.True(driver.TryAdd([new(0xa, 1), new(0xb, 2)], 1, 0));
        Assert.True(driver.TryAdd([new(0xc, 3), new(0xd, 4), new(0xe, 5)], 3, 1));
        driver.Publish();
        Bytes(Descriptors, "0010004000000000 20000000 0000 8400");
        Bytes(Descriptors + 16, "3010004000000000 30000000 0100 8400");
        // In a table, only WRITE has a meaning (virtio 1.3 §2.8.7).
        Bytes(Tables, "0a00000000000000 01000000 0000 0000 0b00000000000000 02000000 0000 0200");
        Bytes(Tables + 48, "0c00000000000000 03000000 0000 0000 0d00000000000000 04000000 0000 0000 0e00000000000000 05000000 0000 0000");
    }

    [Fact]
    public void Returned_chains_have_the_layout_of_the_specification()
    {
        var driver = Driver();
        var device = Device();
        Assert.True(driver.TryAdd([new(1, 1), new(2, 2)], 1, 10));
        Assert.True(driver.TryAdd([new(3, 3)], 1, 11));
        driver.Publish();
        var first = Pop(ref device);
        var second = Pop(ref device);
        Assert.Equal((new ChainHandle(0, 2), new ChainHandle(1, 1)), (first, second));
        device.Return(second, 0);
        device.Return(first, 0x01020304);
        // The first used entry is held back until the publish.
        Bytes(Descriptors + 12, "0000 8100");
        device.Publish();
        // A used descriptor has AVAIL and USED equal to the wrap counter, and WRITE only with bytes written; it skips the chain's slots.
        Bytes(Descriptors + 8, "00000000 0100 8080");
        Bytes(Descriptors + 16 + 8, "04030201 0000 8280");
        Assert.Equal(0x8003_8003u, device.Position);
    }

    [Fact]
    public void The_wrap_counter_changes_at_the_end_of_the_ring()
    {
        var driver = Driver();
        var device = Device();
        for (var i = 0; i < 3; i++) Complete(ref driver, ref device);
        Assert.True(driver.TryAdd([new(1, 1), new(2, 2)], 1, 5));
        driver.Publish();
        Bytes(Descriptors + 48 + 14, "8100");
        // Wrap counter 0: USED without AVAIL makes a descriptor available. This one also has WRITE.
        Bytes(Descriptors + 14, "0280");
        Assert.Equal(new ChainHandle(0, 2), Pop(ref device));
        Assert.Equal(0x8003_0001u, device.Position);
        device.Return(_chain.Handle, 0);
        device.Publish();
        Assert.Equal(0x0001_0001u, device.Position);
        Assert.Equal(PopResult.Popped, driver.TryPopUsed(out _, out _));
        Complete(ref driver, ref device);
        Bytes(Descriptors + 16 + 14, "0000");
    }

    [Fact]
    public void A_device_reads_a_chain_and_its_table_from_the_bytes_of_the_specification()
    {
        var device = new PackedDeviceQueue(_ram.Memory, Areas(), Size, PackedLayout.StartPosition, indirect: true, eventIndex: false);
        // A table's entries have neither NEXT nor an id of any meaning (virtio 1.3 §2.8.7): here both are set, to be ignored.
        Put(Tables, "a000004000000000 10000000 ffff 0100 b000004000000000 20000000 ffff 0300");
        Put(Descriptors, "0010004000000000 20000000 0300 8400");
        Put(Descriptors + 16, "c000004000000000 04000000 0000 8100 d000004000000000 08000000 0100 8200");
        Assert.Equal(new ChainHandle(3, 1), Pop(ref device));
        Assert.Equal([new(0x4000_00a0, 0x10)], _chain.Readable);
        Assert.Equal([new(0x4000_00b0, 0x20)], _chain.Writable);
        // The id of a chain is in its last descriptor (§2.8.6).
        Assert.Equal(new ChainHandle(1, 2), Pop(ref device));
        Assert.Equal([new(0x4000_00c0, 4)], _chain.Readable);
        Assert.Equal([new(0x4000_00d0, 8)], _chain.Writable);
        Assert.Equal(PopResult.Empty, device.TryPop(_chain));
    }

    [Theory]
    [InlineData("8000", false)] // AVAIL alone in the first lap
    [InlineData("8080", true)] // AVAIL and USED: used in the first lap
    [InlineData("0080", false)] // USED alone
    [InlineData("0000", false)]
    public void A_descriptor_is_used_when_AVAIL_and_USED_are_the_wrap_counter(string flags, bool isUsed)
    {
        var driver = Driver();
        Assert.True(driver.TryAdd([new(1, 1)], 0, 9));
        driver.Publish();
        Put(Descriptors, $"0100000000000000 05000000 0000 {flags}");
        Assert.Equal(isUsed ? PopResult.Popped : PopResult.Empty, driver.TryPopUsed(out var token, out var written));
        if (isUsed) Assert.Equal((9, 5u), (token, written));
    }

    [Theory]
    [InlineData("0000 0000", true)] // enabled
    [InlineData("0000 0100", false)] // disabled
    [InlineData("0080 0200", true)] // at offset 0 of the first lap, which this chain is
    [InlineData("0180 0200", false)] // at offset 1 of the first lap
    [InlineData("0000 0200", false)] // at offset 0 of the next lap
    public void Each_end_notifies_as_the_bytes_of_the_others_event_area_say(string bytes, bool isNotified)
    {
        var driver = Driver(eventIndex: true);
        var device = Device(eventIndex: true);
        Put(DeviceEvent, bytes);
        Assert.True(driver.TryAdd([new(1, 1)], 0, 0));
        Assert.Equal(isNotified, driver.Publish());
        Put(DriverEvent, bytes);
        device.Return(Pop(ref device), 0);
        Assert.Equal(isNotified, device.Publish());
    }

    [Fact]
    public void Suppression_by_flags_has_the_layout_of_the_specification()
    {
        var driver = Driver();
        var device = Device();
        driver.Disarm();
        device.Disarm();
        Bytes(DriverEvent, "0000 0100");
        Bytes(DeviceEvent, "0000 0100");
        driver.Arm();
        device.Arm();
        Bytes(DriverEvent, "0000 0000");
        Bytes(DeviceEvent, "0000 0000");
    }

    [Fact]
    public void Suppression_by_event_index_has_the_layout_of_the_specification()
    {
        var driver = Driver(eventIndex: true);
        var device = Device(eventIndex: true);
        for (var i = 0; i < 3; i++) Complete(ref driver, ref device);
        driver.Arm();
        device.Arm();
        // Offset 3 with wrap counter 1, and RING_EVENT_FLAGS_DESC.
        Bytes(DriverEvent, "0380 0200");
        Bytes(DeviceEvent, "0380 0200");
        Complete(ref driver, ref device);
        driver.Arm();
        device.Arm();
        Bytes(DriverEvent, "0000 0200");
        Bytes(DeviceEvent, "0000 0200");
    }

    private void Complete(ref PackedDriverQueue driver, ref PackedDeviceQueue device)
    {
        Assert.True(driver.TryAdd([new(1, 1)], 0, 0));
        driver.Publish();
        device.Return(Pop(ref device), 0);
        device.Publish();
        Assert.Equal(PopResult.Popped, driver.TryPopUsed(out _, out _));
    }

    private ChainHandle Pop(ref PackedDeviceQueue device)
    {
        Assert.Equal(PopResult.Popped, device.TryPop(_chain));
        return _chain.Handle;
    }

    private PackedAreas Areas() => new(_ram.Window(Descriptors, 64), _ram.Window(DriverEvent, 4), _ram.Window(DeviceEvent, 4));

    private PackedDriverQueue Driver(bool eventIndex = false) => new(Areas(), Size, eventIndex);

    private PackedDeviceQueue Device(bool eventIndex = false) =>
        new(_ram.Memory, Areas(), Size, PackedLayout.StartPosition, false, eventIndex);

    private void Put(ulong address, string hex) => FromHex(hex).CopyTo(_ram.Span(address, FromHex(hex).Length));

    private static byte[] FromHex(string hex) => Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal));

    private void Bytes(ulong address, string hex)
    {
        var expected = FromHex(hex);
        Assert.Equal(Convert.ToHexString(expected), Convert.ToHexString(_ram.Span(address, expected.Length)));
    }
}
