using System.Runtime.InteropServices;
using CsCheck;
using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend;
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
        _space = new VirtioBlkConfigSpace(_disk, queues: 2, maxQueueSize: 128, VirtioBlkConfigSpace.DefaultSegments, RequestTypes.Data);
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

    /// <summary>A guest without indirect descriptors, with QEMU's ring of 128, built requests of 254 segments and hung.</summary>
    [Theory]
    [InlineData(1024, null, 126)]
    [InlineData(1024, 254, 254)]
    [InlineData(1024, 510, 510)]
    [InlineData(256, 510, 254)]
    [InlineData(64, null, 62)]
    [InlineData(1024, 1, 1)]
    public void The_most_segments_fit_QEMUs_ring_unless_more_are_asked_for_and_always_the_largest_ring(int maxQueueSize, int? asked, int expected)
    {
        var space = new VirtioBlkConfigSpace(_disk, queues: 1, maxQueueSize, asked ?? new BlockServerOptions().MaxSegments, RequestTypes.Data);
        var config = new byte[SpaceBytes];
        space.Read(0, config, writeCache: true);
        var read = MemoryMarshal.Read<VirtioBlkConfig>(config);
        Assert.Equal((uint)expected, read.SegMax);
        Assert.InRange((long)read.SegMax * read.SizeMax, 1, int.MaxValue);
    }

    private byte[] Read(int offset, int length)
    {
        var bytes = new byte[length];
        Array.Fill(bytes, (byte)0xee);
        _space.Read(offset, bytes, writeCache: true);
        return bytes;
    }
}
