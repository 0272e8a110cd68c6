using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.Disk;

/// <summary>A disk on a block device, of 512-byte and of 4096-byte sectors, with and without the page cache.</summary>
public sealed class BlockDeviceTests
{
    private const int Sector = 512;

    private static FilePortDriver Open(LoopDevice device, bool direct, bool readOnly = false) => FilePortDriver.Open(device.Path, readOnly, direct, NullLogger.Instance);

    [TheoryIfLoopDevices]
    [InlineData(512, false)]
    [InlineData(512, true)]
    [InlineData(4096, false)]
    [InlineData(4096, true)]
    public void Sectors_are_read_and_written_whatever_the_devices_own(int sectorBytes, bool direct)
    {
        using var device = new LoopDevice(4 << 20, sectorBytes);
        using (var port = Open(device, direct))
        {
            Assert.Equal(4 << 20, port.Bytes);
            Assert.InRange(port.Topology.PhysicalBlockBytes, sectorBytes, 64 << 10);
            Assert.False(port.DiscardIsDeterministic);
            var content = device.Image.Content;
            foreach (var (sector, count) in new[] { (0, 1), (3, 1), (5, 12), (16, 8), (8191, 1), (8100, 92) })
            {
                Assert.Equal(content[(sector * Sector)..((sector + count) * Sector)], device.Image.Read(port, sector * Sector, count * Sector));
                new Random(sector).NextBytes(content.AsSpan(sector * Sector, count * Sector));
                device.Image.Write(port, sector * Sector, content.AsSpan(sector * Sector, count * Sector));
            }
            port.Flush();
        }
        Assert.Equal(device.Image.Content, File.ReadAllBytes(device.Image.Path));
    }

    [TheoryIfLoopDevices]
    [InlineData(512, false)]
    [InlineData(512, true)]
    [InlineData(4096, false)]
    [InlineData(4096, true)]
    public void Discards_deallocate_and_zeros_keep_the_allocation_unless_they_may_unmap(int sectorBytes, bool direct)
    {
        using var device = new LoopDevice(8 << 20, sectorBytes);
        var content = device.Image.Content;
        using (var port = Open(device, direct))
        using (var disk = new HostClassDriver(port, NullLogger.Instance))
        {
            var full = device.Image.AllocatedBytes();
            // Part of a device's block is written as data.
            Assert.Equal(DiskStatus.Ok, disk.WriteZeroes(3, 6, mayUnmap: false, new()));
            Assert.Equal(DiskStatus.Ok, disk.WriteZeroes(19, 1, mayUnmap: true, new()));
            Assert.Equal(DiskStatus.Ok, disk.WriteZeroes(2048, 2048, mayUnmap: false, new()));
            Assert.Equal(DiskStatus.Ok, disk.Flush());
            Assert.InRange(device.Image.AllocatedBytes(), full, long.MaxValue);

            Assert.Equal(DiskStatus.Ok, disk.WriteZeroes(4096, 2048, mayUnmap: true, new()));
            Assert.Equal(DiskStatus.Ok, disk.Discard(8192, 4096));
            // A discard of part of a block is a hint that the device may ignore.
            Assert.Equal(DiskStatus.Ok, disk.Discard(8191, 1));
            Assert.InRange(device.Image.AllocatedBytes(), 0, full - (6144 * Sector) + (64 << 10));
            Assert.Equal(content[..(3 * Sector)], device.Image.Read(port, 0, 3 * Sector));
        }
        foreach (var (sector, count) in new[] { (3, 6), (19, 1), (2048, 2048), (4096, 2048), (8192, 4096) }) content.AsSpan(sector * Sector, count * Sector).Clear();
        var held = File.ReadAllBytes(device.Image.Path);
        // The content of that sector is undefined.
        held.AsSpan(8191 * Sector, Sector).CopyTo(content.AsSpan(8191 * Sector));
        Assert.Equal(content, held);
    }

    [TheoryIfLoopDevices]
    [InlineData(false)]
    [InlineData(true)]
    public void A_device_that_grows_or_shrinks_has_its_new_capacity_after_a_refresh(bool direct)
    {
        using var device = new LoopDevice(1 << 20, 4096);
        using var port = Open(device, direct);
        using var disk = new HostClassDriver(port, NullLogger.Instance);
        foreach (var bytes in new[] { 2 << 20, 512 << 10 })
        {
            device.Resize(bytes);
            Assert.True(disk.Refresh());
            Assert.Equal((ulong)bytes / Sector, disk.SectorCount);
            device.Image.Ram(0, Sector).Fill(7);
            Assert.Equal(DiskStatus.Ok, disk.Write((ulong)bytes / Sector - 1, device.Image.Pieces(false, (0, Sector)), new()));
            Assert.Equal(DiskStatus.OutOfRange, disk.Write((ulong)bytes / Sector, device.Image.Pieces(false, (0, Sector)), new()));
        }
    }

    [TheoryIfLoopDevices]
    [InlineData(false)]
    [InlineData(true)]
    public void Only_one_process_opens_a_device_for_writing(bool direct)
    {
        using var device = new LoopDevice(1 << 20, 512);
        using (Open(device, direct)) Assert.Contains($"process {Environment.ProcessId}", Assert.Throws<IOException>(() => Open(device, direct)).Message, StringComparison.Ordinal);
        using (Open(device, direct, readOnly: true)) Open(device, direct, readOnly: true).Dispose();
    }

    [TheoryIfLoopDevices]
    [InlineData(512)]
    public void A_device_that_takes_no_writes_is_served_read_only_or_refused(int sectorBytes)
    {
        using var image = new DiskImage(1 << 20);
        var device = LoopDevice.Losetup("--find", "--show", "--read-only", "--sector-size", $"{sectorBytes}", image.Path)!;
        try
        {
            Assert.Contains("is a read-only device", Assert.Throws<IOException>(() => FilePortDriver.Open(device, readOnly: false, direct: false, NullLogger.Instance)).Message, StringComparison.Ordinal);
            using var port = FilePortDriver.Open(device, readOnly: true, direct: false, NullLogger.Instance);
            Assert.Equal(image.Content.AsSpan(0, 512).ToArray(), image.Read(port, 0, 512));
        }
        finally
        {
            LoopDevice.Losetup("--detach", device);
        }
    }
}
