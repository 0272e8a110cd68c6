using System.Runtime.InteropServices;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;
using VmShunt.Tests.Hostile;

namespace VmShunt.Tests.HostPartition.Block.VirtioBlk.Serving;

/// <summary>VM-H's device with the messages of other projects' front-ends, in their order.</summary>
public class OtherFrontendsTests : QemuFrontendTests
{
    private const ulong ProtocolFeatures = 1UL << 30;
    private const uint Queues = ServedDisk.Queues;
    private const ulong Acknowledge = 1, Driver = 2, DriverOk = 4, FeaturesOk = 8;
    private const VirtioBlkFeatures Firmware = QemuFrontend.Firmware, Linux = QemuFrontend.Linux;

    public OtherFrontendsTests()
        : this(pollers: 0)
    {
    }

    private protected OtherFrontendsTests(int pollers)
        : base(pollers)
    {
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
        Frontend.Acknowledged.UnionWith([VhostUserRequest.AddMemReg, VhostUserRequest.SetMemTable]);
        if (!isOld) Frontend.Acknowledged.Add(VhostUserRequest.SetVringEnable);
        if (version == "11.1") Frontend.Acknowledged.UnionWith([VhostUserRequest.SetVringCall, VhostUserRequest.SetVringErr, VhostUserRequest.SetVringKick]);
        var linux = Linux | (packed ? VirtioBlkFeatures.PackedRing : 0);

        Qemu.Realize(Disk.Connect(), isReconnect: false);
        if (!isOld)
        {
            Frontend.Send(VhostUserRequest.ResetDevice, []);
            Frontend.Send(VhostUserRequest.ResetDevice, []);
        }

        Frontend.ResetRing(packed: false);
        using (var first = Qemu.GetInflight())
        {
            Qemu.Start(Firmware, first, Frontend.RingPosition, sharesMemory: true);
            Frontend.AssertServed();
            Qemu.Stop(isOld);
        }

        Frontend.ResetRing(packed);
        using var second = Qemu.GetInflight();
        Qemu.Start(linux, second, Frontend.RingPosition, sharesMemory: false);
        Frontend.AssertServed();
        // The guest changes its cache mode.
        Span<byte> write = stackalloc byte[VhostUserConfigHeader.Bytes + 1];
        MemoryMarshal.Write(write, new VhostUserConfigHeader { Offset = 32, Size = 1 });
        Frontend.Send(VhostUserRequest.SetConfig, write);
        Assert.Equal(0, Frontend.GetConfig(0, 57)[32]);
        Frontend.AssertServed();

        // The back-end disconnects, and the next one gets a ring after two requests of three descriptors each.
        Qemu.Realize(Disk.Connect(), isReconnect: true);
        Qemu.Start(linux, second, packed ? 0x8006_8006 : 2u, sharesMemory: true);
        Frontend.AssertServed();
        Qemu.Stop(isOld);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Libblkio_is_served_and_adds_its_data_while_the_ring_runs(bool packed)
    {
        Frontend.Connect(Disk.Connect());
        Frontend.ResetRing(packed);
        Frontend.Send(VhostUserRequest.SetOwner, []);
        var offered = Frontend.Query(VhostUserRequest.GetFeatures);
        Frontend.Send(VhostUserRequest.SetFeatures, (ulong)(Linux | (packed ? VirtioBlkFeatures.PackedRing : 0)) & offered | ProtocolFeatures);
        const VhostUserProtocolFeatures needed =
            VhostUserProtocolFeatures.MultiQueue | VhostUserProtocolFeatures.ReplyAck | VhostUserProtocolFeatures.Config | VhostUserProtocolFeatures.ConfigureMemSlots;
        Assert.Equal(needed, (VhostUserProtocolFeatures)Frontend.Query(VhostUserRequest.GetProtocolFeatures) & needed);
        Frontend.Send(VhostUserRequest.SetProtocolFeatures, (ulong)needed);

        Frontend.Acknowledged.UnionWith(Enum.GetValues<VhostUserRequest>());
        Assert.Equal(Queues, Frontend.Query(VhostUserRequest.GetQueueNum, VhostUserHeader.NeedReply));
        Assert.InRange(Frontend.Query(VhostUserRequest.GetMaxMemSlots, VhostUserHeader.NeedReply), 8ul, 4096ul);
        Assert.Equal(ServedDisk.Bytes / 512, MemoryMarshal.Read<long>(Frontend.GetConfig(0, 8, VhostUserHeader.NeedReply)));
        Assert.InRange(MemoryMarshal.Read<uint>(Frontend.GetConfig(12, 4, VhostUserHeader.NeedReply)), 1u, ServedDisk.MaxQueueSize - 2u);
        Assert.Equal(512u, MemoryMarshal.Read<uint>(Frontend.GetConfig(20, 4, VhostUserHeader.NeedReply)));
        Assert.Equal(Queues, MemoryMarshal.Read<ushort>(Frontend.GetConfig(34, 2, VhostUserHeader.NeedReply)));
        Frontend.AddMemory(0, ScriptedFrontend.DataOffset);
        Frontend.SendVringState(VhostUserRequest.SetVringNum, 0, HandRing.Size);
        Frontend.SendVringState(VhostUserRequest.SetVringBase, 0, Frontend.RingPosition);
        Frontend.SendVringAddress();
        Frontend.SendVringKick();
        Frontend.Send(VhostUserRequest.SetVringCall, 0ul, Frontend.Call);
        Frontend.SendVringState(VhostUserRequest.SetVringEnable, 0, 1);
        Frontend.AddMemory(ScriptedFrontend.DataOffset, ScriptedFrontend.RamBytes - ScriptedFrontend.DataOffset);
        for (var i = 0; i < 20; i++) Frontend.AssertServed();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void With_STATUS_no_ring_is_served_before_DRIVER_OK_nor_after_a_status_of_0(bool packed)
    {
        Qemu.Realize(Disk.Connect(), isReconnect: false);
        Frontend.Acknowledged.UnionWith(Enum.GetValues<VhostUserRequest>());
        Frontend.ResetRing(packed);
        var features = Linux | (packed ? VirtioBlkFeatures.PackedRing : 0);
        Qemu.Start(features, null, Frontend.RingPosition, sharesMemory: true, status: Acknowledge | Driver | FeaturesOk);
        Frontend.SubmitRead();
        // A status has taken effect when it is acknowledged.
        Assert.Equal(Acknowledge | Driver | FeaturesOk, Frontend.Query(VhostUserRequest.GetStatus));
        Assert.Equal(Frontend.RingPosition, Frontend.Stop().Value);
        Assert.False(Frontend.TryPopUsed(out _));
        Frontend.Send(VhostUserRequest.SetVringCall, 0ul, Frontend.Call);
        Frontend.SendVringKick();
        Frontend.Send(VhostUserRequest.SetStatus, Acknowledge | Driver | FeaturesOk | DriverOk);
        Frontend.AssertCompleted();

        Frontend.Send(VhostUserRequest.SetStatus, 0ul);
        Assert.Equal(0ul, Frontend.Query(VhostUserRequest.GetStatus));
        Frontend.SubmitRead();
        Frontend.Stop();
        Assert.False(Frontend.TryPopUsed(out _));
    }

    [Fact]
    public void With_STATUS_a_driver_that_accepts_unoffered_features_does_not_get_FEATURES_OK()
    {
        Qemu.Realize(Disk.Connect(), isReconnect: false);
        Frontend.Send(VhostUserRequest.SetFeatures, (ulong)Linux | ProtocolFeatures | 1UL << 50);
        Frontend.Send(VhostUserRequest.SetStatus, Acknowledge | Driver | FeaturesOk);
        Assert.Equal(Acknowledge | Driver, Frontend.Query(VhostUserRequest.GetStatus));
        Frontend.Send(VhostUserRequest.SetFeatures, (ulong)Linux | ProtocolFeatures);
        Frontend.Send(VhostUserRequest.SetStatus, Acknowledge | Driver | FeaturesOk);
        Assert.Equal(Acknowledge | Driver | FeaturesOk, Frontend.Query(VhostUserRequest.GetStatus));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void With_IN_ORDER_chains_are_returned_in_the_order_in_which_they_were_made_available(bool packed)
    {
        using var driver = new HandDriver(Disk.Connect(), packed).Start();
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
        Qemu.Realize(Disk.Connect(), isReconnect: false);
        Frontend.Acknowledged.UnionWith(Enum.GetValues<VhostUserRequest>());
        Frontend.ResetRing(packed);
        Frontend.Send(VhostUserRequest.SetProtocolFeatures, (ulong)(QemuFrontend.Protocol & ~VhostUserProtocolFeatures.Status));
        Frontend.Send(VhostUserRequest.SetFeatures, (ulong)((Linux | (packed ? VirtioBlkFeatures.PackedRing : 0)) & Qemu.Offered) | ProtocolFeatures);
        Frontend.AddMemory(0, ScriptedFrontend.RamBytes);
        Frontend.SendVringState(VhostUserRequest.SetVringNum, 0, HandRing.Size);
        Frontend.SendVringState(VhostUserRequest.SetVringBase, 0, Frontend.RingPosition);
        Frontend.SendVringAddress();
        Frontend.Send(VhostUserRequest.SetVringCall, VringDescriptorWord.NoDescriptor);
        Frontend.Send(VhostUserRequest.SetVringKick, VringDescriptorWord.NoDescriptor);
        Frontend.SendVringState(VhostUserRequest.SetVringEnable, 0, 1);
        for (var i = 0; i < 20; i++)
        {
            Frontend.SubmitRead();
            Frontend.AssertCompleted(polls: true);
        }
        Frontend.Stop();
    }
}

/// <summary>The same in a poll group.</summary>
public sealed class PolledOtherFrontendsTests() : OtherFrontendsTests(pollers: 1);
