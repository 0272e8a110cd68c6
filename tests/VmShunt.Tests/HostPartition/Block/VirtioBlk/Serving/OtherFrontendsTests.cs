using System.Runtime.InteropServices;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;
using VmShunt.Tests.Hostile;

namespace VmShunt.Tests.HostPartition.Block.VirtioBlk.Serving;

/// <summary>VM-H's device with the messages of other projects' front-ends, in their order.</summary>
public class OtherFrontendsTests : IDisposable
{
    private const ulong ProtocolFeatures = 1UL << 30;
    private const uint Queues = ServedDisk.Queues;
    private const ulong Acknowledge = 1, Driver = 2, DriverOk = 4, FeaturesOk = 8;
    private const VirtioBlkFeatures Firmware = QemuFrontend.Firmware, Linux = QemuFrontend.Linux;

    private readonly ServedDisk _disk;
    private readonly ScriptedFrontend _frontend = new();
    private readonly QemuFrontend _qemu;

    public OtherFrontendsTests()
        : this(pollers: 0)
    {
    }

    private protected OtherFrontendsTests(int pollers)
    {
        _disk = ServedDisk.InMemory(pollers: pollers);
        _qemu = new QemuFrontend(_frontend);
    }

    public void Dispose()
    {
        _frontend.Dispose();
        _disk.Dispose();
        GC.SuppressFinalize(this);
    }

    [Theory]
    [InlineData("7.2", false)]
    [InlineData("7.2", true)]
    [InlineData("10.0", false)]
    [InlineData("10.0", true)]
    [InlineData("11.1", false)]
    [InlineData("11.1", true)]
    public void QEMU_is_served_by_its_firmware_its_system_and_after_a_reconnect(string version, bool packed)
    {
        var isOld = version == "7.2";
        _frontend.Acknowledged.UnionWith([VhostUserRequest.AddMemReg, VhostUserRequest.SetMemTable]);
        if (!isOld) _frontend.Acknowledged.Add(VhostUserRequest.SetVringEnable);
        if (version == "11.1") _frontend.Acknowledged.UnionWith([VhostUserRequest.SetVringCall, VhostUserRequest.SetVringErr, VhostUserRequest.SetVringKick]);
        var linux = Linux | (packed ? VirtioBlkFeatures.PackedRing : 0);

        _qemu.Realize(_disk.Connect(), isReconnect: false);
        if (!isOld)
        {
            _frontend.Send(VhostUserRequest.ResetDevice, []);
            _frontend.Send(VhostUserRequest.ResetDevice, []);
        }

        _frontend.ResetRing(packed: false);
        using (var first = _qemu.GetInflight())
        {
            _qemu.Start(Firmware, first, _frontend.RingPosition, sharesMemory: true);
            _frontend.AssertServed();
            _qemu.Stop(isOld);
        }

        _frontend.ResetRing(packed);
        using var second = _qemu.GetInflight();
        _qemu.Start(linux, second, _frontend.RingPosition, sharesMemory: false);
        _frontend.AssertServed();
        // The guest changes its cache mode.
        Span<byte> write = stackalloc byte[VhostUserConfigHeader.Bytes + 1];
        MemoryMarshal.Write(write, new VhostUserConfigHeader { Offset = 32, Size = 1 });
        _frontend.Send(VhostUserRequest.SetConfig, write);
        Assert.Equal(0, _frontend.GetConfig(0, 57)[32]);
        _frontend.AssertServed();

        // The back-end disconnects, and the next one gets a ring after two requests of three descriptors each.
        _qemu.Realize(_disk.Connect(), isReconnect: true);
        _qemu.Start(linux, second, packed ? 0x8006_8006 : 2u, sharesMemory: true);
        _frontend.AssertServed();
        _qemu.Stop(isOld);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Libblkio_is_served_and_adds_its_data_while_the_ring_runs(bool packed)
    {
        _frontend.Connect(_disk.Connect());
        _frontend.ResetRing(packed);
        _frontend.Send(VhostUserRequest.SetOwner, []);
        var offered = _frontend.Query(VhostUserRequest.GetFeatures);
        _frontend.Send(VhostUserRequest.SetFeatures, (ulong)(Linux | (packed ? VirtioBlkFeatures.PackedRing : 0)) & offered | ProtocolFeatures);
        const VhostUserProtocolFeatures needed =
            VhostUserProtocolFeatures.MultiQueue | VhostUserProtocolFeatures.ReplyAck | VhostUserProtocolFeatures.Config | VhostUserProtocolFeatures.ConfigureMemSlots;
        Assert.Equal(needed, (VhostUserProtocolFeatures)_frontend.Query(VhostUserRequest.GetProtocolFeatures) & needed);
        _frontend.Send(VhostUserRequest.SetProtocolFeatures, (ulong)needed);

        _frontend.Acknowledged.UnionWith(Enum.GetValues<VhostUserRequest>());
        Assert.Equal(Queues, _frontend.Query(VhostUserRequest.GetQueueNum, VhostUserHeader.NeedReply));
        Assert.InRange(_frontend.Query(VhostUserRequest.GetMaxMemSlots, VhostUserHeader.NeedReply), 8ul, 4096ul);
        Assert.Equal(ServedDisk.Bytes / 512, MemoryMarshal.Read<long>(_frontend.GetConfig(0, 8, VhostUserHeader.NeedReply)));
        Assert.InRange(MemoryMarshal.Read<uint>(_frontend.GetConfig(12, 4, VhostUserHeader.NeedReply)), 1u, ServedDisk.MaxQueueSize - 2u);
        Assert.Equal(512u, MemoryMarshal.Read<uint>(_frontend.GetConfig(20, 4, VhostUserHeader.NeedReply)));
        Assert.Equal(Queues, MemoryMarshal.Read<ushort>(_frontend.GetConfig(34, 2, VhostUserHeader.NeedReply)));
        _frontend.AddMemory(0, ScriptedFrontend.DataOffset);
        _frontend.SendVringState(VhostUserRequest.SetVringNum, 0, HandRing.Size);
        _frontend.SendVringState(VhostUserRequest.SetVringBase, 0, _frontend.RingPosition);
        _frontend.SendVringAddress();
        _frontend.SendVringKick();
        _frontend.Send(VhostUserRequest.SetVringCall, 0ul, _frontend.Call);
        _frontend.SendVringState(VhostUserRequest.SetVringEnable, 0, 1);
        _frontend.AddMemory(ScriptedFrontend.DataOffset, ScriptedFrontend.RamBytes - ScriptedFrontend.DataOffset);
        for (var i = 0; i < 20; i++) _frontend.AssertServed();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void With_STATUS_no_ring_is_served_before_DRIVER_OK_nor_after_a_status_of_0(bool packed)
    {
        _qemu.Realize(_disk.Connect(), isReconnect: false);
        _frontend.Acknowledged.UnionWith(Enum.GetValues<VhostUserRequest>());
        _frontend.ResetRing(packed);
        var features = Linux | (packed ? VirtioBlkFeatures.PackedRing : 0);
        _qemu.Start(features, null, _frontend.RingPosition, sharesMemory: true, status: Acknowledge | Driver | FeaturesOk);
        _frontend.SubmitRead();
        // A status has taken effect when it is acknowledged.
        Assert.Equal(Acknowledge | Driver | FeaturesOk, _frontend.Query(VhostUserRequest.GetStatus));
        Assert.Equal(_frontend.RingPosition, _frontend.Stop().Value);
        Assert.False(_frontend.TryPopUsed(out _));
        _frontend.Send(VhostUserRequest.SetVringCall, 0ul, _frontend.Call);
        _frontend.SendVringKick();
        _frontend.Send(VhostUserRequest.SetStatus, Acknowledge | Driver | FeaturesOk | DriverOk);
        _frontend.AssertCompleted();

        _frontend.Send(VhostUserRequest.SetStatus, 0ul);
        Assert.Equal(0ul, _frontend.Query(VhostUserRequest.GetStatus));
        _frontend.SubmitRead();
        _frontend.Stop();
        Assert.False(_frontend.TryPopUsed(out _));
    }

    [Fact]
    public void With_STATUS_a_driver_that_accepts_unoffered_features_does_not_get_FEATURES_OK()
    {
        _qemu.Realize(_disk.Connect(), isReconnect: false);
        _frontend.Send(VhostUserRequest.SetFeatures, (ulong)Linux | ProtocolFeatures | 1UL << 50);
        _frontend.Send(VhostUserRequest.SetStatus, Acknowledge | Driver | FeaturesOk);
        Assert.Equal(Acknowledge | Driver, _frontend.Query(VhostUserRequest.GetStatus));
        _frontend.Send(VhostUserRequest.SetFeatures, (ulong)Linux | ProtocolFeatures);
        _frontend.Send(VhostUserRequest.SetStatus, Acknowledge | Driver | FeaturesOk);
        Assert.Equal(Acknowledge | Driver | FeaturesOk, _frontend.Query(VhostUserRequest.GetStatus));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void With_IN_ORDER_chains_are_returned_in_the_order_in_which_they_were_made_available(bool packed)
    {
        using var driver = new HandDriver(_disk.Connect(), packed).Start();
        Assert.True(((VirtioBlkFeatures)driver.Frontend.Features).HasFlag(VirtioBlkFeatures.InOrder));
        for (var round = 0; round < 50; round++)
        {
            driver.Prepare(VirtioBlkRequestType.In, 0);
            // Long requests before short ones, which a device could complete first.
            uint[] lengths = [1 << 20, 512, 64 << 10, 1024, 4096];
            foreach (var length in lengths)
                driver.Offer(new(HandDriver.Header, 16), new(HandDriver.Data, length, DescriptorFlags.Write), new(HandDriver.Status, 1, DescriptorFlags.Write));
            foreach (var length in lengths) Assert.Equal(length + 1, driver.Complete());
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_ring_without_descriptors_for_kick_and_call_is_polled(bool packed)
    {
        _qemu.Realize(_disk.Connect(), isReconnect: false);
        _frontend.Acknowledged.UnionWith(Enum.GetValues<VhostUserRequest>());
        _frontend.ResetRing(packed);
        _frontend.Send(VhostUserRequest.SetProtocolFeatures, (ulong)(QemuFrontend.Protocol & ~VhostUserProtocolFeatures.Status));
        _frontend.Send(VhostUserRequest.SetFeatures, (ulong)((Linux | (packed ? VirtioBlkFeatures.PackedRing : 0)) & _qemu.Offered) | ProtocolFeatures);
        _frontend.AddMemory(0, ScriptedFrontend.RamBytes);
        _frontend.SendVringState(VhostUserRequest.SetVringNum, 0, HandRing.Size);
        _frontend.SendVringState(VhostUserRequest.SetVringBase, 0, _frontend.RingPosition);
        _frontend.SendVringAddress();
        _frontend.Send(VhostUserRequest.SetVringCall, VringDescriptorWord.NoDescriptor);
        _frontend.Send(VhostUserRequest.SetVringKick, VringDescriptorWord.NoDescriptor);
        _frontend.SendVringState(VhostUserRequest.SetVringEnable, 0, 1);
        for (var i = 0; i < 20; i++)
        {
            _frontend.SubmitRead();
            _frontend.AssertCompleted(polls: true);
        }
        _frontend.Stop();
    }
}

/// <summary>The same in a poll group.</summary>
public sealed class PolledOtherFrontendsTests() : OtherFrontendsTests(pollers: 1);
