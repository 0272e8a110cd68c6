using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Ring.Memory;

/// <summary>Translation of guest-physical addresses: two adjacent regions, a hole, a read-only region, in one file.</summary>
public sealed class GuestMemoryTests : IDisposable
{
    private const ulong Low = 0x10_0000, High = Low + Page, ReadOnly = 0x80_0000, Page = 4096;

    private readonly Microsoft.Win32.SafeHandles.SafeFileHandle _file = SharedMemoryFile.Create("test", 3 * (int)Page);
    private readonly MemoryRegion[] _regions;
    private readonly GuestMemory _memory;

    public GuestMemoryTests()
    {
        // Adjacent in guest-physical memory, in reverse order in the file.
        _regions =
        [
            MemoryRegion.Map(_file, 0, Page, High, userAddress: 0x7000_0000),
            MemoryRegion.Map(_file, 2 * Page, Page, ReadOnly, userAddress: 0x1000, writable: false),
            MemoryRegion.Map(_file, Page, Page, Low, userAddress: 0x9000_0000),
        ];
        _memory = new GuestMemory(_regions);
    }

    public void Dispose()
    {
        _memory.Dispose();
        foreach (var region in _regions) region.Dispose();
        _file.Dispose();
    }

    [Theory]
    [InlineData(Low, 1, true)]
    [InlineData(Low, 4096, true)]
    [InlineData(Low + 4095, 1, true)]
    [InlineData(Low - 1, 1, false)]
    [InlineData(Low - 1, 2, false)]
    [InlineData(Low, 4097, false)]
    [InlineData(Low + 4095, 2, false)]
    [InlineData(High, 4096, true)]
    [InlineData(High, 4097, false)]
    [InlineData(High + 4096, 1, false)]
    [InlineData(0x40_0000ul, 1, false)]
    [InlineData(ReadOnly + 4095, 1, true)]
    [InlineData(ReadOnly + 4096, 1, false)]
    [InlineData(0ul, 1, false)]
    [InlineData(ulong.MaxValue, 1, false)]
    [InlineData(ulong.MaxValue, int.MaxValue, false)]
    [InlineData(Low, int.MaxValue, false)]
    [InlineData(Low, -1, false)]
    [InlineData(Low, int.MinValue, false)]
    [InlineData(Low, 0, true)]
    [InlineData(Low - 1, 0, false)]
    public void A_window_lies_within_one_region(ulong address, int length, bool inside)
    {
        Assert.Equal(inside, _memory.TryGetWindow(address, length, out var window));
        Assert.Equal(inside ? length : 0, window.Length);
        if (inside) Assert.Equal(length, _memory.GetSpan(address, length).Length);
        else Assert.Throws<ArgumentOutOfRangeException>(() => _memory.GetSpan(address, length).Length);
    }

    [Theory]
    [InlineData(0x7000_0000ul, 4096, true)]
    [InlineData(0x7000_0000ul, 4097, false)]
    [InlineData(0x6fff_fffful, 2, false)]
    [InlineData(0x9000_0fff, 1, true)]
    [InlineData(0x9000_1000, 1, false)]
    [InlineData(0x1000, 8, true)]
    [InlineData(Low, 8, false)]
    [InlineData(ulong.MaxValue, 8, false)]
    public void A_window_by_user_address_lies_within_one_region(ulong address, int length, bool inside) =>
        Assert.Equal(inside, _memory.TryGetWindowByUserAddress(address, length, out _));

    [Fact]
    public void Each_address_maps_to_its_own_byte_of_the_file()
    {
        Assert.True(_memory.TryWrite(Low, 0x1111_1111u));
        Assert.True(_memory.TryWrite(High + 4, 0x2222_2222u));
        Assert.True(_memory.TryGetWindowByUserAddress(0x7000_0008, 4, out var window));
        window.Write(0, 0x3333_3333u);
        using var whole = MemoryRegion.Map(_file, 0, 3 * Page, 0);
        using var memory = new GuestMemory(whole);
        Assert.True(memory.TryRead(Page, out uint value));
        Assert.Equal(0x1111_1111u, value);
        Assert.True(memory.TryRead(4, out ulong both));
        Assert.Equal(0x3333_3333_2222_2222ul, both);
    }

    [Fact]
    public void A_value_that_crosses_a_region_boundary_is_neither_read_nor_written()
    {
        Assert.False(_memory.TryRead(High - 4, out ulong value));
        Assert.Equal(0ul, value);
        Assert.False(_memory.TryWrite(High - 4, ulong.MaxValue));
        Assert.True(_memory.TryRead(High - 8, out value));
        Assert.Equal(0ul, value);
        Assert.True(_memory.TryRead(High, out value));
        Assert.Equal(0ul, value);
        Assert.False(_memory.TryRead(ulong.MaxValue - 3, out value));
        Assert.False(_memory.TryWrite(ulong.MaxValue - 3, 1ul));
    }

    [Fact]
    public void A_read_only_region_cannot_be_written()
    {
        Assert.True(_memory.TryRead(ReadOnly, out ulong _));
        Assert.False(_memory.TryWrite(ReadOnly, 1ul));
        var list = new IoVectors();
        Assert.True(_memory.TryAppend(ReadOnly, 8, deviceWrites: false, list));
        Assert.False(_memory.TryAppend(ReadOnly, 8, deviceWrites: true, list));
    }

    [Fact]
    public void A_range_may_cross_adjacent_regions()
    {
        var list = new IoVectors();
        Assert.True(_memory.TryAppend(Low + 4000, 200, deviceWrites: true, list));
        Assert.Equal(200, list.TotalBytes);
        var bytes = Enumerable.Range(0, 200).Select(i => (byte)i).ToArray();
        Assert.Equal(200, list.CopyFrom(bytes));
        Assert.Equal(bytes.AsSpan(0, 96), _memory.GetSpan(Low + 4000, 96));
        Assert.Equal(bytes.AsSpan(96), _memory.GetSpan(High, 104));
    }

    [Theory]
    [InlineData(Low - 1, 1ul)]
    [InlineData(Low, 8193ul)]
    [InlineData(Low, ulong.MaxValue)]
    [InlineData(High, ulong.MaxValue - High + 1)]
    [InlineData(ulong.MaxValue, 1ul)]
    [InlineData(ulong.MaxValue, 2ul)]
    [InlineData(0ul, ulong.MaxValue)]
    public void A_range_outside_of_the_memory_is_refused(ulong address, ulong length) =>
        Assert.False(_memory.TryAppend(address, length, deviceWrites: false, new IoVectors()));

    [Fact]
    public void An_empty_range_adds_nothing_at_any_address()
    {
        var list = new IoVectors();
        Assert.True(_memory.TryAppend(0, 0, true, list));
        Assert.True(_memory.TryAppend(ulong.MaxValue, 0, true, list));
        Assert.Equal((0, 0L), (list.Count, list.TotalBytes));
    }

    [Fact]
    public void Regions_may_be_adjacent_but_not_overlap()
    {
        using var overlapping = MemoryRegion.Map(_file, 0, Page, High + Page - 1);
        Assert.Throws<InvalidDataException>(() => new GuestMemory([.. _regions, overlapping]));
        Assert.Throws<InvalidDataException>(() => new GuestMemory(_regions[0], _regions[0]));
        using var touching = MemoryRegion.Map(_file, 0, Page, High + Page);
        using var memory = new GuestMemory([.. _regions, touching]);
        Assert.Equal([Low, High, High + Page, ReadOnly], memory.Regions.Select(r => r.GuestAddress));
    }

    [Fact]
    public void Empty_memory_has_no_valid_address()
    {
        using var memory = new GuestMemory();
        Assert.False(memory.TryGetWindow(0, 0, out _));
        Assert.False(memory.TryRead(0, out byte _));
        Assert.False(memory.TryAppend(0, 1, false, new IoVectors()));
    }

    [Fact]
    public void Translation_is_the_same_with_many_regions()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        using var file = SharedMemoryFile.Create("test", 100 * (long)Page);
        // A hole of one page after every third region.
        var regions = Enumerable.Range(0, 100)
            .Select(i => MemoryRegion.Map(file, (ulong)i * Page, Page, Low + ((ulong)i + (ulong)i / 3) * Page)).ToArray();
        random.Shuffle(regions);
        using var memory = new GuestMemory(regions);
        for (var i = 0; i < 20_000; i++)
        {
            var address = Low - Page + (ulong)random.NextInt64(136 * (long)Page);
            var length = random.Next(5000);
            var home = Array.Find(regions, r => address >= r.GuestAddress && address < r.GuestAddress + Page);
            var inside = home is not null && address + (ulong)length <= home.GuestAddress + Page;
            if (memory.TryGetWindow(address, length, out _) != inside) Assert.Fail($"seed {seed}: {length} bytes at {address:x}");
        }
        foreach (var region in regions) region.Dispose();
    }

    [Fact]
    public void A_region_stays_mapped_until_every_memory_that_contains_it_is_disposed()
    {
        var region = MemoryRegion.Map(_file, 0, Page, 0);
        var first = new GuestMemory(region);
        var second = new GuestMemory(region);
        Assert.True(first.TryGetWindow(0, 8, out var window));
        region.Dispose();
        region.Dispose();
        second.Dispose();
        second.Dispose();
        // An access to an unmapped page would crash the process.
        window.Write(0, 42ul);
        Assert.True(first.TryRead(0, out ulong value));
        Assert.Equal(42ul, value);
        Assert.Equal(42ul, BitConverter.ToUInt64(_memory.GetSpan(High, 8)));
        first.Dispose();
    }
}
