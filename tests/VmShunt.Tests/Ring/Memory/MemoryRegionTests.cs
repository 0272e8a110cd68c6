using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Ring.Memory;

public sealed class MemoryRegionTests : IDisposable
{
    private readonly SafeFileHandle _file = SharedMemoryFile.Create("test", 10_000);

    public void Dispose() => _file.Dispose();

    [Theory]
    [InlineData(0ul, 0ul, 0ul, 0ul)]
    [InlineData(0ul, 10_001ul, 0ul, 0ul)]
    [InlineData(1ul, 10_000ul, 0ul, 0ul)]
    [InlineData(10_000ul, 1ul, 0ul, 0ul)]
    [InlineData(ulong.MaxValue, 1ul, 0ul, 0ul)]
    [InlineData(ulong.MaxValue, 2ul, 0ul, 0ul)]
    [InlineData(1ul, ulong.MaxValue, 0ul, 0ul)]
    [InlineData(0ul, ulong.MaxValue, 0ul, 0ul)]
    [InlineData(0ul, 1ul << 63, 0ul, 0ul)]
    [InlineData(1ul << 62, 1ul << 62, 0ul, 0ul)]
    [InlineData(0ul, 4096ul, ulong.MaxValue, 0ul)]
    [InlineData(0ul, 4096ul, ulong.MaxValue - 4095, 0ul)]
    [InlineData(0ul, 4096ul, 0ul, ulong.MaxValue - 4095)]
    public void An_invalid_region_is_not_mapped(ulong offset, ulong size, ulong guestAddress, ulong userAddress) =>
        Assert.Throws<InvalidDataException>(() => MemoryRegion.Map(_file, offset, size, guestAddress, userAddress));

    [Theory]
    [InlineData(0ul, 10_000ul)]
    [InlineData(9_999ul, 1ul)]
    [InlineData(4096ul, 4096ul)]
    [InlineData(5000ul, 5000ul)]
    public void A_region_may_start_at_any_offset_of_its_file(ulong offset, ulong size)
    {
        var content = new byte[10_000];
        Random.Shared.NextBytes(content);
        using (var whole = MemoryRegion.Map(_file, 0, 10_000, 0))
        using (var all = new GuestMemory(whole))
        {
            content.CopyTo(all.GetSpan(0, 10_000));
        }
        using var region = MemoryRegion.Map(_file, offset, size, 0);
        using var memory = new GuestMemory(region);
        Assert.Equal(content.AsSpan((int)offset, (int)size), memory.GetSpan(0, (int)size));
    }

    [Fact]
    public void A_descriptor_that_is_not_a_file_is_not_mapped()
    {
        using var eventFd = EventFd.Create();
        Assert.Throws<InvalidDataException>(() => MemoryRegion.Map(eventFd.Handle, 0, 1, 0));
        using var pipe = new System.IO.Pipes.AnonymousPipeServerStream();
        using var pipeHandle = new SafeFileHandle(pipe.SafePipeHandle.DangerousGetHandle(), ownsHandle: false);
        Assert.Throws<InvalidDataException>(() => MemoryRegion.Map(pipeHandle, 0, 1, 0));
        using var device = File.OpenHandle("/dev/zero", FileMode.Open, FileAccess.ReadWrite);
        Assert.Throws<InvalidDataException>(() => MemoryRegion.Map(device, 0, 1, 0));
    }

    [Fact]
    public void A_file_opened_for_reading_can_be_mapped_for_reading_only()
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, new byte[4096]);
            using var file = File.OpenHandle(path);
            Assert.Throws<InvalidDataException>(() => MemoryRegion.Map(file, 0, 4096, 0));
            using var region = MemoryRegion.Map(file, 0, 4096, 0, writable: false);
            Assert.False(region.IsWritable);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Shared_memory_cannot_shrink_under_a_mapping()
    {
        Assert.True(SharedMemoryFile.CannotShrink(_file));
        Assert.ThrowsAny<Exception>(() => RandomAccess.SetLength(_file, 4096));
        Assert.Equal(10_000, RandomAccess.GetLength(_file));
        var path = Path.GetTempFileName();
        try
        {
            using var plain = File.OpenHandle(path);
            Assert.False(SharedMemoryFile.CannotShrink(plain));
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>What still has the old address fails; the memory itself is whole, at another one.</summary>
    [Theory]
    [InlineData(0ul, 10_000ul)]
    [InlineData(5000ul, 5000ul)]
    public void A_region_that_was_taken_away_fails_system_calls_and_guarded_copies_and_its_move_has_the_same_memory(ulong offset, ulong size)
    {
        using var old = MemoryRegion.Map(_file, offset, size, 0x1000);
        using var before = new GuestMemory(old);
        Assert.True(before.TryWrite(0x1000, 0x1234_5678));
        using var moved = old.TryMove();
        Assert.NotNull(moved);
        old.TakeAway();

        var pieces = new IoVectors();
        Assert.True(before.TryAppend(0x1000, 512, deviceWrites: true, pieces));
        Assert.Throws<IOException>(() => pieces.CopyFrom(new byte[4], isGuarded: true));
        Assert.Throws<IOException>(() => pieces.CopyTo(new byte[4], isGuarded: true));
        using var disk = SharedMemoryFile.Create("disk", 512);
        Assert.True(DiskFile.IsMemoryFault(Assert.Throws<IOException>(() => DiskFile.Read(disk, pieces, 0))));
        Assert.True(DiskFile.IsMemoryFault(Assert.Throws<IOException>(() => DiskFile.Write(disk, pieces, 0))));

        using var after = new GuestMemory(moved);
        Assert.True(after.TryRead(0x1000, out int value));
        Assert.Equal(0x1234_5678, value);
        Assert.True(after.TryWrite(0x1000 + size - 4, 7));
        var inFile = new byte[4];
        RandomAccess.Read(_file, inFile, (long)(offset + size - 4));
        Assert.Equal([7, 0, 0, 0], inFile);
    }
}
