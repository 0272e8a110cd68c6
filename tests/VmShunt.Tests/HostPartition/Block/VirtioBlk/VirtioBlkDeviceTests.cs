using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Serving;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.VirtioBlk;

/// <summary>The device of virtio 1.3 §5.2, as a driver sees it.</summary>
public class VirtioBlkDeviceTests : IDisposable
{
    private readonly RecordingPortDriver _port;
    private readonly PollGroups _pollers;
    private readonly List<IDisposable> _open = [];

    public VirtioBlkDeviceTests()
        : this(pollers: 0)
    {
    }

    private protected VirtioBlkDeviceTests(int pollers)
    {
        _port = new RecordingPortDriver { IsNonBlocking = pollers > 0 };
        _pollers = new PollGroups(pollers, WaitPolicy.Never);
    }

    public void Dispose()
    {
        for (var i = _open.Count - 1; i >= 0; i--) _open[i].Dispose();
        _pollers.Dispose();
        GC.SuppressFinalize(this);
    }

    private VirtualizationDriver Disk(PortDriver port, int blockBytes = 512, bool writeCache = true, bool waitForRoom = false)
    {
        var disk = new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance, waitForRoom), "SERIAL", blockBytes, writeCache);
        _open.Add(disk);
        return disk;
    }

    private BlkSession Session(VirtualizationDriver disk, VirtioBlkFeatures wanted = BlkSession.Everything)
    {
        var session = new BlkSession(disk, wanted, pollers: _pollers);
        _open.Add(session);
        return session;
    }

    [Fact]
    public void It_offers_and_describes_what_it_has()
    {
        BlkSession? opened = null;
        Assert.Null(Record.Exception(() => opened = Session(Disk(_port))));
        var session = opened!;
        const VirtioBlkFeatures expected = VirtioBlkFeatures.SizeMax | VirtioBlkFeatures.SegMax | VirtioBlkFeatures.BlockSize | VirtioBlkFeatures.Topology
            | VirtioBlkFeatures.Flush | VirtioBlkFeatures.ConfigWriteCache | VirtioBlkFeatures.MultiQueue | VirtioBlkFeatures.Discard | VirtioBlkFeatures.WriteZeroes
            | VirtioBlkFeatures.IndirectDescriptors | VirtioBlkFeatures.Version1 | VirtioBlkFeatures.InOrder;
        Assert.Equal(expected, session.Features);
        var config = session.Config;
        Assert.Equal((2048UL, 512u, (ushort)2), (config.Capacity, config.BlockSize, config.NumQueues));
        // No chain is longer than the largest ring.
        Assert.Equal((uint)BlkSession.MaxQueueSize - 2, config.SegMax);
        Assert.Equal(0u, config.SizeMax % 4096);
        Assert.InRange((ulong)config.SizeMax * config.SegMax, 1UL, uint.MaxValue);
        // Physical blocks of 4096 bytes, the first at byte 512; preferred requests of 8 KiB to 64 KiB.
        Assert.Equal(((byte)3, (byte)1, (ushort)16, 128u), (config.PhysicalBlockExponent, config.AlignmentOffset, config.MinIoSize, config.OptIoSize));
        Assert.Equal((8u, (byte)1, (byte)1), (config.DiscardSectorAlignment, config.WriteCache, config.WriteZeroesMayUnmap));
    }

    [Fact]
    public void Blocks_of_4096_bytes_are_the_unit_of_the_topology()
    {
        var config = Session(Disk(_port, blockBytes: 4096)).Config;
        Assert.Equal((4096u, (byte)0, (byte)0, (ushort)2, 16u), (config.BlockSize, config.PhysicalBlockExponent, config.AlignmentOffset, config.MinIoSize, config.OptIoSize));
        Assert.Equal(2048UL, config.Capacity);
    }

    [Fact]
    public void A_read_only_disk_offers_no_writes()
    {
        using var image = new DiskImage(1 << 20);
        var session = Session(Disk(image.Open(readOnly: true))).Start();
        Assert.Equal(VirtioBlkFeatures.ReadOnly, session.Features & (VirtioBlkFeatures.ReadOnly | VirtioBlkFeatures.Discard | VirtioBlkFeatures.WriteZeroes));
        foreach (var type in new[] { VirtioBlkRequestType.Out, VirtioBlkRequestType.Discard, VirtioBlkRequestType.WriteZeroes })
            Assert.Equal(VirtioBlkStatus.IoError, session.Do(type, 0, 512));
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.Flush));
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.In, 2047, 512));
        Assert.Equal(image.Content.AsSpan(2047 * 512), session.Ram(BlkSession.Data, 512));
        Assert.Equal(image.Content, File.ReadAllBytes(image.Path));
    }

    [Fact]
    public void GET_ID_returns_the_serial_number()
    {
        var session = Session(Disk(_port)).Start();
        session.Submit(0, VirtioBlkRequestType.GetId, 0, 20);
        Assert.Equal(((ushort)0, VirtioBlkStatus.Ok, 21u), session.Complete());
        Assert.Equal("SERIAL" + new string('\0', 14), Encoding.ASCII.GetString(session.Ram(BlkSession.Data, 20)));
    }

    [Fact]
    public void UNMAP_decides_whether_zeros_deallocate()
    {
        var session = Session(Disk(_port)).Start();
        Assert.Equal(VirtioBlkStatus.Ok, session.Range(VirtioBlkRequestType.WriteZeroes, new VirtioBlkRange { Sector = 8, SectorCount = 8 }));
        Assert.Equal(
            VirtioBlkStatus.Ok,
            session.Range(
                VirtioBlkRequestType.WriteZeroes,
                new VirtioBlkRange { Sector = 16, SectorCount = 8, Flags = VirtioBlkRange.Unmap },
                new VirtioBlkRange { Sector = 32, SectorCount = 1 }));
        Assert.Equal(VirtioBlkStatus.Ok, session.Range(VirtioBlkRequestType.Discard, new VirtioBlkRange { Sector = 64, SectorCount = 8 }));
        Assert.Equal(["zeroes 8+8", "unmap 16+8", "zeroes 32+1", "discard 64+8"], _port.Requests);
    }

    [Fact]
    public void A_range_request_that_is_wrong_anywhere_does_nothing()
    {
        var session = Session(Disk(_port)).Start();
        var good = new VirtioBlkRange { Sector = 8, SectorCount = 8 };
        Assert.Equal(VirtioBlkStatus.IoError, session.Range(VirtioBlkRequestType.Discard, good, new VirtioBlkRange { Sector = 2041, SectorCount = 8 }));
        Assert.Equal(VirtioBlkStatus.IoError, session.Range(VirtioBlkRequestType.Discard, good, new VirtioBlkRange { Sector = ulong.MaxValue, SectorCount = 8 }));
        Assert.Equal(VirtioBlkStatus.IoError, session.Range(VirtioBlkRequestType.Discard, good, new VirtioBlkRange { Sector = 0 }));
        Assert.Equal(VirtioBlkStatus.Unsupported, session.Range(VirtioBlkRequestType.Discard, good, good with { Flags = VirtioBlkRange.Unmap }));
        Assert.Equal(VirtioBlkStatus.Unsupported, session.Range(VirtioBlkRequestType.WriteZeroes, good, good with { Flags = 2 }));
        Assert.Equal(VirtioBlkStatus.IoError, session.Range(VirtioBlkRequestType.WriteZeroes, [.. Enumerable.Repeat(good, 17)]));
        Assert.Equal(VirtioBlkStatus.IoError, session.Range(VirtioBlkRequestType.WriteZeroes));
        Assert.Equal(VirtioBlkStatus.IoError, session.Do(VirtioBlkRequestType.WriteZeroes, 0, 17));
        Assert.Empty(_port.Requests);
        Assert.Equal(VirtioBlkStatus.Ok, session.Range(VirtioBlkRequestType.WriteZeroes, [.. Enumerable.Repeat(good, 16)]));
        Assert.Equal(16, _port.Requests.Length);
    }

    [Fact]
    public void What_was_not_negotiated_is_not_supported()
    {
        var session = Session(Disk(_port), VirtioBlkFeatures.Version1 | VirtioBlkFeatures.Flush).Start();
        var range = new VirtioBlkRange { Sector = 8, SectorCount = 8 };
        Assert.Equal(VirtioBlkStatus.Unsupported, session.Range(VirtioBlkRequestType.Discard, range));
        Assert.Equal(VirtioBlkStatus.Unsupported, session.Range(VirtioBlkRequestType.WriteZeroes, range));
        Assert.Empty(_port.Requests);
    }

    [Fact]
    public void The_driver_chooses_the_cache_mode_at_run_time()
    {
        var session = Session(Disk(_port)).Start();
        session.Do(VirtioBlkRequestType.Out, 8, 512);
        Assert.Equal(["write 8+1"], _port.Requests);
        WriteConfig(session, VirtioBlkConfig.WriteCacheOffset, 0);
        Assert.Equal(0, session.Config.WriteCache);
        session.Do(VirtioBlkRequestType.Out, 8, 512);
        session.Range(VirtioBlkRequestType.WriteZeroes, new VirtioBlkRange { Sector = 1, SectorCount = 1 });
        Assert.Equal(["write 8+1", "flush", "write 8+1", "flush", "zeroes 1+1", "flush"], _port.Requests);
        WriteConfig(session, VirtioBlkConfig.WriteCacheOffset, 1);
        Assert.Equal(1, session.Config.WriteCache);
        session.Do(VirtioBlkRequestType.Out, 8, 512);
        Assert.Equal("write 8+1", _port.Requests[^1]);
        session.Do(VirtioBlkRequestType.Flush);
        Assert.Equal("flush", _port.Requests[^1]);
    }

    [Fact]
    public void A_reset_forgets_the_cache_mode_that_the_driver_chose()
    {
        var disk = Disk(_port);
        var session = Session(disk).Start();
        WriteConfig(session, VirtioBlkConfig.WriteCacheOffset, 0);
        session.Reset();
        Assert.Equal(1, session.Config.WriteCache);
        // Nor are other guests' writes durable when they complete any more.
        Session(disk).Start().Do(VirtioBlkRequestType.Out, 8, 512);
        Assert.Equal("write 8+1", _port.Requests[^1]);
    }

    [Fact]
    public void A_reset_forgets_that_the_driver_could_not_flush()
    {
        var session = Session(Disk(_port), VirtioBlkFeatures.Version1).Start();
        Assert.Equal(0, session.Config.WriteCache);
        session.Reset();
        Assert.Equal(1, session.Config.WriteCache);
    }

    [Theory]
    [InlineData(0, new byte[] { 0 })]
    [InlineData(31, new byte[] { 0 })]
    [InlineData(31, new byte[] { 0, 0 })]
    [InlineData(32, new byte[] { 0, 0 })]
    [InlineData(32, new byte[] { })]
    [InlineData(32, new byte[] { 2 })]
    [InlineData(33, new byte[] { 0 })]
    [InlineData(255, new byte[] { 0 })]
    [InlineData(256, new byte[] { 0 })]
    public void Nothing_else_of_the_configuration_can_be_written(int offset, byte[] value)
    {
        var session = Session(Disk(_port)).Start();
        var before = session.Config;
        Assert.Throws<IOException>(() => WriteConfig(session, offset, value));
        Assert.Equal(before, session.Config);
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.Out, 8, 512));
        Assert.Equal(["write 8+1"], _port.Requests);
    }

    [Fact]
    public void A_device_without_a_write_cache_reports_none_and_rejects_turning_it_on()
    {
        var session = Session(Disk(_port, writeCache: false)).Start();
        Assert.Equal(0, session.Config.WriteCache);
        session.Do(VirtioBlkRequestType.Out, 8, 512);
        Assert.Equal(["write 8+1", "flush"], _port.Requests);
        Assert.Throws<IOException>(() => WriteConfig(session, VirtioBlkConfig.WriteCacheOffset, 1));
        WriteConfig(session, VirtioBlkConfig.WriteCacheOffset, 0);
        Assert.Equal(0, session.Config.WriteCache);
    }

    [Fact]
    public void A_driver_that_cannot_flush_gets_durable_writes()
    {
        // virtio 1.3 §5.2.6.2: without FLUSH and CONFIG_WCE a completed write is stable.
        var session = Session(Disk(_port), VirtioBlkFeatures.Version1).Start();
        session.Do(VirtioBlkRequestType.Out, 8, 512);
        Assert.Equal(["write 8+1", "flush"], _port.Requests);
        Assert.Equal(0, session.Config.WriteCache);
    }

    [Fact]
    public void Configuration_space_ends_at_256_bytes()
    {
        var session = Session(Disk(_port));
        Span<byte> four = stackalloc byte[4];
        Assert.True(session.Frontend.TryReadConfig(four, 252));
        Assert.False(session.Frontend.TryReadConfig(four, 254));
        Assert.False(session.Frontend.TryReadConfig(four, 256));
    }

    [Fact]
    public void A_FLUSH_reaches_the_disk_once_after_the_writes_that_completed_before_it()
    {
        var session = Session(Disk(_port)).Start();
        for (var round = 0; round < 3; round++)
        {
            _port.ClearRequests();
            session.Do(VirtioBlkRequestType.Out, 8, 512);
            session.Do(VirtioBlkRequestType.Out, 16, 512);
            Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.Flush));
            Assert.Equal(["write 8+1", "write 16+1", "flush"], _port.Requests);
        }
        _port.IsBroken = true;
        Assert.Equal(VirtioBlkStatus.IoError, session.Do(VirtioBlkRequestType.Flush));
    }

    [Fact]
    public void A_guest_that_disconnects_no_longer_forces_durable_writes()
    {
        var disk = Disk(_port);
        var stays = Session(disk).Start();
        using (var leaves = new BlkSession(disk, pollers: _pollers))
        {
            WriteConfig(leaves, VirtioBlkConfig.WriteCacheOffset, 0);
            stays.Do(VirtioBlkRequestType.Out, 8, 512);
            Assert.Equal("flush", _port.Requests[^1]);
            // Each guest reads its own choice.
            Assert.Equal((1, 0), (stays.Config.WriteCache, leaves.Config.WriteCache));
        }
        stays.Do(VirtioBlkRequestType.Out, 8, 512);
        Assert.Equal("write 8+1", _port.Requests[^1]);
    }

    [Fact]
    public void A_changed_capacity_is_notified_to_every_guest_and_applies_at_once()
    {
        var disk = Disk(_port);
        var one = Session(disk).Start();
        var other = Session(disk).Start();
        var silent = Session(disk).Start();
        using var toOne = one.Frontend.OpenBackendRequests()!;
        using var toOther = other.Frontend.OpenBackendRequests()!;
        foreach (var sectors in new[] { 1000, 4096 })
        {
            _port.NewBytes = sectors * 512;
            disk.Refresh();
            foreach (var (session, channel) in new[] { (one, toOne), (other, toOther) })
            {
                Assert.True(channel.Receive());
                Assert.Equal(VhostUserBackendRequest.ConfigChange, (VhostUserBackendRequest)channel.Header.Request);
                Assert.Equal((ulong)sectors, session.Config.Capacity);
            }
            Assert.Equal((ulong)sectors, silent.Config.Capacity);
            Assert.Equal(VirtioBlkStatus.Ok, silent.Do(VirtioBlkRequestType.Flush));
            Assert.Equal(VirtioBlkStatus.IoError, silent.Do(VirtioBlkRequestType.In, (ulong)sectors - 1, 1024));
        }
    }

    [Fact]
    public void A_ring_stops_while_a_write_waits_for_free_space_and_executes_it_after_the_next_start()
    {
        _port.Room = 1;
        var session = Session(Disk(_port, waitForRoom: true)).Start();
        session.Submit(1, VirtioBlkRequestType.Out, 8, 1024);
        session.Submit(2, VirtioBlkRequestType.Out, 16, 512);
        uint position = 0;
        for (var stops = 0; stops < 3; stops++)
        {
            AwaitWaiting();
            position = session.Frontend.StopRing(0);
            Assert.Equal(0u, position);
            Assert.False(session.HasCompletion);
            session.Start(position);
        }
        _port.Room = int.MaxValue;
        Assert.Equal(((ushort)1, VirtioBlkStatus.Ok, 1u), session.Complete());
        Assert.Equal(((ushort)2, VirtioBlkStatus.Ok, 1u), session.Complete());
        Assert.Equal(["write 8+1", "write 8+2", "write 16+1"], _port.Requests);
        Assert.Equal(2u, session.Frontend.StopRing(0));
    }

    [Fact]
    public void On_a_memory_disk_requests_before_a_waiting_write_complete_and_those_after_it_stay_in_the_ring()
    {
        var port = new RecordingPortDriver { IsInMemory = true, Room = 0 };
        var session = Session(Disk(port, waitForRoom: true));
        session.Submit(1, VirtioBlkRequestType.In, 8, 512);
        session.Submit(2, VirtioBlkRequestType.In, 9, 512);
        session.Submit(3, VirtioBlkRequestType.Out, 8, 512);
        session.Submit(4, VirtioBlkRequestType.In, 8, 512);
        session.Start();
        Assert.True(SpinWait.SpinUntil(() => port.Attempts >= 2, TimeSpan.FromSeconds(60)), "no write waits for free space");
        Assert.Equal(2u, session.Frontend.StopRing(0));
        foreach (ushort token in new[] { 1, 2 }) Assert.Equal((token, VirtioBlkStatus.Ok, 513u), session.Complete());
        Assert.False(session.HasCompletion);
        port.Room = int.MaxValue;
        session.Start(2);
        Assert.Equal(((ushort)3, VirtioBlkStatus.Ok, 1u), session.Complete());
        Assert.Equal(((ushort)4, VirtioBlkStatus.Ok, 513u), session.Complete());
        Assert.Equal(["read 8+1", "read 9+1", "write 8+1", "read 8+1"], port.Requests);
    }

    [Fact]
    public void A_session_closes_while_a_write_waits_for_free_space()
    {
        _port.Room = 0;
        var session = Session(Disk(_port, waitForRoom: true)).Start();
        session.Submit(1, VirtioBlkRequestType.Out, 8, 1024);
        AwaitWaiting();
    }

    private void AwaitWaiting()
    {
        var attempts = _port.Attempts;
        Assert.True(SpinWait.SpinUntil(() => _port.Attempts >= attempts + 2, TimeSpan.FromSeconds(60)), "no write waits for free space");
    }

    [Fact]
    public void A_request_type_that_is_not_implemented_completes_with_UNSUPP_and_changes_nothing()
    {
        var session = new BlkSession(Disk(_port), implemented: RequestTypes.Read, pollers: _pollers).Start();
        _open.Add(session);
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.In, bytes: 512));
        Assert.Equal(VirtioBlkStatus.Unsupported, session.Do(VirtioBlkRequestType.Out, bytes: 512));
        Assert.Equal(VirtioBlkStatus.Unsupported, session.Do(VirtioBlkRequestType.Flush));
        Assert.Equal(VirtioBlkFeatures.None, session.Features & (VirtioBlkFeatures.Flush | VirtioBlkFeatures.ConfigWriteCache | VirtioBlkFeatures.Discard | VirtioBlkFeatures.WriteZeroes));
    }

    [Theory]
    [InlineData(ShuntAgreement.CurrentVersion, RequestTypes.Read | RequestTypes.Write, true)]
    [InlineData(ShuntAgreement.CurrentVersion, RequestTypes.Read | RequestTypes.Flush, false)]
    [InlineData(ShuntAgreement.CurrentVersion, RequestTypes.Read | (RequestTypes)(1 << 20), false)]
    [InlineData(ShuntAgreement.CurrentVersion + 1, RequestTypes.Read, false)]
    public void A_shunt_that_declares_unimplemented_request_types_is_rejected_at_connect(int version, RequestTypes primary, bool agrees)
    {
        var session = new BlkSession(Disk(_port), implemented: RequestTypes.Data, pollers: _pollers).Start();
        _open.Add(session);
        var declared = new ShuntDeclaration { Version = (ushort)version, Criterion = PrimaryCriterion.Importance, Primary = primary };
        var agreed = session.Frontend.TryWriteConfig(MemoryMarshal.AsBytes(new ReadOnlySpan<ShuntDeclaration>(in declared)), ShuntAgreement.DeclaredOffset);
        Assert.Equal(agrees, agreed);
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.In, bytes: 512));
    }

    private static void WriteConfig(BlkSession session, int offset, params byte[] value) => session.WriteConfig(offset, value);
}

/// <summary>The same in a poll group.</summary>
public sealed class PolledVirtioBlkDeviceTests() : VirtioBlkDeviceTests(pollers: 1);
