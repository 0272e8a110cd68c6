using VmShunt.BlockBackend;
using VmShunt.Ring.Files;
using VmShunt.Tests.HostPartition.Block.Own;

namespace VmShunt.Tests.HostPartition.Block.Contract;

public sealed class BlockDeviceTests
{
    [Fact]
    public void A_disk_that_knows_nothing_of_them_has_defaults()
    {
        using var disk = new RecordedDisk(1 << 20);
        Assert.Equal((512, 512, false, "VMSHUNT0", "RecordedDisk"), (disk.LogicalBlockSize, disk.PhysicalBlockSize, disk.IsReadOnly, disk.Serial, disk.Name));
        disk.Data.AsSpan().Fill(1);
        disk.WriteZeroes(512, 100 << 10, mayDeallocate: true);
        Assert.Equal((1, 0, 0, 1), (disk.Data[511], disk.Data[512], disk.Data[511 + (100 << 10)], disk.Data[512 + (100 << 10)]));
    }

    [Theory]
    [InlineData(BlockStatus.NoSpace, true)]
    [InlineData(BlockStatus.IoError, false)]
    [InlineData(BlockStatus.Unsupported, false)]
    public void A_full_disk_is_known_as_the_system_reports_one(BlockStatus status, bool isFull)
    {
        var failure = new BlockException(status);
        Assert.Equal((status, isFull), (failure.Status, DiskFile.IsFull(failure)));
        Assert.Equal(BlockStatus.IoError, new BlockException("broken", new InvalidOperationException()).Status);
    }
}
