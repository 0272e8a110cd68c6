using System.Runtime.InteropServices;
using CsCheck;
using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.BlockBackend.VirtioBlk;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.VirtioBlk;

public sealed class VirtioBlkConfigSpaceTests : IDisposable
{
    private const int SpaceBytes = 512;

    private readonly RecordingPortDriver _port = new();
    private readonly VirtualizationDriver _disk;
    private readonly VirtioBlkConfigSpace _space;

    public VirtioBlkConfigSpaceTests()
    {
        _disk = new VirtualizationDriver(new HostClassDriver(_port, NullLogger.Instance), "SERIAL", 512);
        _space = new VirtioBlkConfigSpace(_disk, queues: 2, maxQueueSize: 128, RequestTypes.Data);
    }

    public void Dispose() => _disk.Dispose();

    [Fact]
    public void Any_range_reads_as_the_same_range_of_the_whole_space()
    {
        var whole = Read(0, SpaceBytes);
        Gen.Select(Gen.Int[0, SpaceBytes - 1], Gen.Int[0, SpaceBytes]).Sample((offset, length) =>
        {
            length = Math.Min(length, SpaceBytes - offset);
            Assert.Equal(whole.AsSpan(offset, length).ToArray(), Read(offset, length));
        });
    }

    [Fact]
    public void The_shunt_agreement_follows_the_device_configuration_with_zeros_between()
    {
        var whole = Read(0, SpaceBytes);
        var config = MemoryMarshal.Read<VirtioBlkConfig>(whole);
        var agreement = MemoryMarshal.Read<ShuntAgreement>(whole.AsSpan(ShuntAgreement.Offset));
        Assert.Equal((_disk.SectorCount, (byte)1), (config.Capacity, config.WriteCache));
        Assert.Equal((ShuntAgreement.ExpectedMagic, ShuntAgreement.CurrentVersion, RequestTypes.Data), (agreement.Magic, agreement.Version, agreement.Implemented));
        var end = Marshal.SizeOf<VirtioBlkConfig>();
        Assert.Equal(-1, whole.AsSpan(end, ShuntAgreement.Offset - end).IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public void A_new_capacity_is_read_at_once()
    {
        _port.NewBytes = 600 * 512;
        _disk.Refresh();
        Assert.Equal(600UL, MemoryMarshal.Read<VirtioBlkConfig>(Read(0, SpaceBytes)).Capacity);
    }

    private byte[] Read(int offset, int length)
    {
        var bytes = new byte[length];
        Array.Fill(bytes, (byte)0xee);
        _space.Read(offset, bytes, writeCache: true);
        return bytes;
    }
}
