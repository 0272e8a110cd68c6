using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.Disk;

/// <summary>The flushes that reach the device, by the state of the write caches.</summary>
public sealed class WriteCacheTests : IDisposable
{
    private readonly DiskImage _image = new(512);
    private readonly RecordingPortDriver _port = new();
    private readonly SharedFlag _stop = new();

    public void Dispose() => _image.Dispose();

    private VirtualizationDriver Disk(bool writeCache) => new(new HostClassDriver(_port, NullLogger.Instance), "S", 512, writeCache);

    private void Write(VirtualizationDriver disk) => Assert.Equal(DiskStatus.Ok, disk.Write(1, _image.Pieces(false, (0, 1024)), _stop));

    [Fact]
    public void With_a_write_cache_only_a_flush_makes_writes_durable()
    {
        using var disk = Disk(writeCache: true);
        using var guest = disk.OpenWriteCache();
        Assert.True(guest.Exists && guest.IsOn);
        Write(disk);
        Assert.Equal(DiskStatus.Ok, disk.WriteZeroes(4, 1, true, _stop));
        Assert.Equal(DiskStatus.Ok, disk.Discard(8, 1));
        Assert.Equal(DiskStatus.Ok, guest.Flush());
        Assert.Equal(["write 1+2", "unmap 4+1", "discard 8+1", "flush"], _port.Requests);
    }

    [Fact]
    public void Without_a_write_cache_every_write_is_durable_when_it_completes()
    {
        using var disk = Disk(writeCache: false);
        using var guest = disk.OpenWriteCache();
        Assert.False(guest.Exists || guest.IsOn);
        Assert.Equal(DiskStatus.Unsupported, guest.Turn(on: true));
        Assert.Equal(DiskStatus.Ok, guest.Turn(on: false));
        guest.Reset();
        Write(disk);
        Assert.Equal(DiskStatus.Ok, disk.WriteZeroes(4, 1, true, _stop));
        Assert.Equal(DiskStatus.Ok, disk.WriteZeroes(4, 1, false, _stop));
        Assert.Equal(["write 1+2", "flush", "unmap 4+1", "flush", "zeroes 4+1", "flush"], _port.Requests);
        _port.IsBroken = true;
        Assert.Equal(DiskStatus.IoError, disk.Write(1, _image.Pieces(false, (0, 512)), _stop));
    }

    [Fact]
    public void After_a_failed_flush_every_flush_fails_until_the_driver_resets_its_device()
    {
        using var disk = Disk(writeCache: true);
        using var guest = disk.OpenWriteCache();
        using var other = disk.OpenWriteCache();
        Assert.Equal(DiskStatus.Ok, guest.Flush());
        _port.IsBroken = true;
        Assert.Equal(DiskStatus.IoError, guest.Flush());
        // The kernel lets the next one succeed, although it may have dropped what it could not write.
        _port.IsBroken = false;
        Assert.Equal(DiskStatus.IoError, guest.Flush());
        guest.TurnOn();
        Assert.Equal(DiskStatus.IoError, guest.Flush());
        guest.Reset();
        Assert.Equal(DiskStatus.Ok, guest.Flush());
        Assert.Equal(DiskStatus.IoError, other.Flush());
        using var later = disk.OpenWriteCache();
        Assert.Equal(DiskStatus.Ok, later.Flush());
    }

    [Fact]
    public void Turning_the_write_cache_off_flushes_earlier_writes()
    {
        using var disk = Disk(writeCache: true);
        using var guest = disk.OpenWriteCache();
        Write(disk);
        Assert.Equal(DiskStatus.Ok, guest.Turn(on: false));
        Assert.Equal(["write 1+2", "flush"], _port.Requests);
        Write(disk);
        Assert.Equal(["write 1+2", "flush", "write 1+2", "flush"], _port.Requests);
        Assert.Equal(DiskStatus.Ok, guest.Turn(on: true));
        Write(disk);
        Assert.Equal(5, _port.Requests.Length);

        _port.IsBroken = true;
        Assert.Equal(DiskStatus.IoError, guest.Turn(on: false));
        Assert.True(guest.IsOn);
    }

    [Fact]
    public void While_the_write_cache_is_off_in_one_front_end_all_writes_are_durable()
    {
        using var disk = Disk(writeCache: true);
        var one = disk.OpenWriteCache();
        var other = disk.OpenWriteCache();
        one.Turn(on: false);
        other.TurnOff();
        Assert.True(IsDurable());
        Assert.Equal(DiskStatus.Ok, one.Turn(on: true));
        Assert.True(IsDurable());
        // A disposed switch counts as on.
        other.Dispose();
        Assert.False(IsDurable());
        one.Turn(on: false);
        Assert.True(IsDurable());
        one.Reset();
        Assert.False(IsDurable());
        one.Dispose();
        one.Dispose();
        Assert.False(IsDurable());

        bool IsDurable()
        {
            _port.ClearRequests();
            Write(disk);
            return _port.Requests[^1] == "flush";
        }
    }

    [Fact]
    public void A_write_allocates_nothing_with_a_cache_or_without()
    {
        foreach (var writeCache in new[] { true, false })
        {
            using var disk = new VirtualizationDriver(new HostClassDriver(new MemoryPortDriver(1 << 20), NullLogger.Instance, waitForRoom: true), "S", 512, writeCache);
            var pieces = new IoVectors();
            Assert.Equal(0, Allocation.OfHundred(() =>
            {
                pieces.Clear();
                _image.Memory.TryAppend(TestMemory.Start, 4096, false, pieces);
                disk.Write(8, pieces, _stop);
                disk.WriteZeroes(8, 8, false, _stop);
            }));
        }
    }
}
