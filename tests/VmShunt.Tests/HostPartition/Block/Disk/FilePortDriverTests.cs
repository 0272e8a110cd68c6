using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.Disk;

/// <summary>A disk in a file: space, size and locks, with and without the page cache.</summary>
public sealed class FilePortDriverTests
{
    private const int Sector = 512;

    private static HostClassDriver Class(PortDriver port) => new(port, NullLogger.Instance);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_discard_deallocates_its_range_and_nothing_else(bool direct)
    {
        using var image = new DiskImage(8 << 20);
        using var port = image.Open(direct);
        port.Flush();
        var before = image.AllocatedBytes();
        Assert.True(port.TryDiscard(1 << 20, 4 << 20));
        Assert.InRange(image.AllocatedBytes(), 0, before - (4 << 20) + (64 << 10));
        image.Content.AsSpan(1 << 20, 4 << 20).Clear();
        Assert.Equal(image.Content, File.ReadAllBytes(image.Path));
        Assert.True(port.DiscardIsDeterministic);

        // Less than a file system block deallocates nothing, and still reads as zeros.
        Assert.True(port.TryDiscard(7 * Sector, Sector));
        image.Content.AsSpan(7 * Sector, Sector).Clear();
        Assert.Equal(image.Content, File.ReadAllBytes(image.Path));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Zeros_keep_their_allocation_unless_they_may_unmap(bool direct)
    {
        using var image = new DiskImage(8 << 20);
        using var port = image.Open(direct);
        using var disk = Class(port);
        port.Flush();
        var before = image.AllocatedBytes();
        Assert.Equal(DiskStatus.Ok, disk.WriteZeroes(8, 2048, mayUnmap: false, new()));
        Assert.InRange(image.AllocatedBytes(), before, long.MaxValue);
        Assert.Equal(DiskStatus.Ok, disk.WriteZeroes(8192, 4096, mayUnmap: true, new()));
        Assert.InRange(image.AllocatedBytes(), 0, before - (4096 * Sector) + (64 << 10));
        image.Content.AsSpan(8 * Sector, 2048 * Sector).Clear();
        image.Content.AsSpan(8192 * Sector, 4096 * Sector).Clear();
        Assert.Equal(image.Content, File.ReadAllBytes(image.Path));

        // Zeros in a hole allocate it: a later write cannot fail with ENOSPC.
        var hollow = image.AllocatedBytes();
        Assert.Equal(DiskStatus.Ok, disk.WriteZeroes(8192, 4096, mayUnmap: false, new()));
        Assert.InRange(image.AllocatedBytes(), hollow + 4096 * Sector, long.MaxValue);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_missing_part_of_the_last_sector_reads_as_zeros_and_can_be_written(bool direct)
    {
        using var image = new DiskImage(3 * Sector + 100);
        using var port = image.Open(direct);
        using var disk = Class(port);
        Assert.Equal(4UL, disk.SectorCount);
        var expected = image.Content.AsSpan(2 * Sector).ToArray().Concat(new byte[412]).ToArray();
        Assert.Equal(expected, image.Read(port, 2 * Sector, 2 * Sector));
        new Random(3).NextBytes(expected);
        image.Write(port, 2 * Sector, expected);
        Assert.Equal(expected, image.Read(port, 2 * Sector, 2 * Sector));
        Assert.Equal(4 * Sector, new FileInfo(image.Path).Length);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_truncated_file_fails_past_its_end_and_can_grow_again(bool direct)
    {
        using var image = new DiskImage(1 << 20);
        using var port = image.Open(direct);
        using var disk = Class(port);
        var ram = image.Pieces(true, (0, 4 * Sector));
        Resize(image, 512 << 10);
        // Before the refresh, reads past the new end fail.
        Assert.Equal(DiskStatus.IoError, disk.Read(1022, ram));
        Assert.Equal(DiskStatus.IoError, disk.Read(1024, image.Pieces(true, (0, Sector))));
        Assert.Equal(DiskStatus.Ok, disk.Read(1020, image.Pieces(true, (0, 4 * Sector))));

        Assert.True(disk.Refresh());
        Assert.Equal(1024UL, disk.SectorCount);
        Assert.Equal(DiskStatus.OutOfRange, disk.Read(1022, image.Pieces(true, (0, 4 * Sector))));
        Assert.Equal(DiskStatus.OutOfRange, disk.Write(1024, image.Pieces(false, (0, Sector)), new()));
        Assert.Equal(DiskStatus.OutOfRange, disk.Discard(1023, 2));
        Assert.Equal(DiskStatus.OutOfRange, disk.WriteZeroes(1023, 2, true, new()));
        Assert.False(disk.Refresh());

        Resize(image, 2 << 20);
        Assert.True(disk.Refresh());
        Assert.Equal(4096UL, disk.SectorCount);
        image.Ram(0, Sector).Fill(0x5A);
        Assert.Equal(DiskStatus.Ok, disk.Write(4095, image.Pieces(false, (0, Sector)), new()));
        Assert.Equal(0x5A, File.ReadAllBytes(image.Path)[^1]);
        Assert.Equal(new byte[Sector], image.Read(port, 1024 * Sector, Sector));

        // An empty file keeps the capacity, and reads fail.
        Resize(image, 0);
        Assert.False(disk.Refresh());
        Assert.Equal(4096UL, disk.SectorCount);
        Assert.Equal(DiskStatus.IoError, disk.Read(0, image.Pieces(true, (0, Sector))));
    }

    [Fact]
    public void The_end_of_a_file_moves_with_its_size_in_direct_io_too()
    {
        using var image = new DiskImage(10_000);
        using var port = image.Open(direct: true);
        using var disk = Class(port);
        Resize(image, 20_000);
        Assert.True(disk.Refresh());
        Assert.Equal(40UL, disk.SectorCount);
        for (var sector = 0; sector < 40; sector++)
        {
            image.Ram(0, Sector).Fill((byte)(sector + 1));
            Assert.Equal(DiskStatus.Ok, disk.Write((ulong)sector, image.Pieces(false, (0, Sector)), new()));
        }
        var held = File.ReadAllBytes(image.Path);
        Assert.Equal(40 * Sector, held.Length);
        for (var i = 0; i < held.Length; i++) Assert.Equal(i / Sector + 1, held[i]);
    }

    [Fact]
    public void A_file_system_without_direct_IO_is_rejected_with_the_alternatives()
    {
        // Files of sysfs do not support direct I/O.
        var refused = Assert.Throws<IOException>(() => FilePortDriver.Open("/sys/kernel/uevent_seqnum", readOnly: true, direct: true, NullLogger.Instance));
        Assert.Contains("refuses direct I/O", refused.Message, StringComparison.Ordinal);
        Assert.Contains("--cache writeback", refused.Message, StringComparison.Ordinal);
        FilePortDriver.Open("/sys/kernel/uevent_seqnum", readOnly: true, direct: false, NullLogger.Instance).Dispose();
    }

    [Fact]
    public void The_preferred_sizes_of_a_file_are_those_of_its_file_system()
    {
        using var image = new DiskImage(1 << 20);
        using var port = image.Open();
        var topology = port.Topology;
        Assert.True(System.Numerics.BitOperations.IsPow2(topology.PhysicalBlockBytes));
        Assert.InRange(topology.PhysicalBlockBytes, Sector, 64 << 10);
        Assert.Equal((0, 0), (topology.AlignmentOffset, topology.OptimalIoBytes));
        Assert.InRange(topology.MinIoBytes, topology.PhysicalBlockBytes, int.MaxValue);
    }

    [Fact]
    public void An_image_has_one_writer_or_many_readers()
    {
        using var image = new DiskImage(1 << 20);
        var me = $"process {Environment.ProcessId} (";
        using (image.Open())
        {
            Assert.Contains("in use by " + me, Assert.Throws<IOException>(() => image.Open()).Message, StringComparison.Ordinal);
            Assert.Contains("being written by " + me, Assert.Throws<IOException>(() => image.Open(readOnly: true)).Message, StringComparison.Ordinal);
            Assert.Throws<IOException>(() => image.Open(direct: true));
        }
        // Neither a rejected nor a closed file leaves a lock.
        using (image.Open(readOnly: true))
        using (image.Open(readOnly: true, direct: true))
        {
            Assert.Contains("in use by " + me, Assert.Throws<IOException>(() => image.Open()).Message, StringComparison.Ordinal);
        }
        image.Open().Dispose();
    }

    private static void Resize(DiskImage image, long bytes)
    {
        using var file = new FileStream(image.Path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        file.SetLength(bytes);
    }
}
