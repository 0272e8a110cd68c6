using System.Buffers.Binary;
using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.AhciBackend.VfioUser;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Interop;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;
using VmShunt.Trap.VfioUser;

namespace VmShunt.Tests.HostPartition.Ahci.VfioUser;

/// <summary>The PCI command register's effect on DMA and interrupts, and the regions of vfio-user.</summary>
public sealed class AhciVfioDeviceTests : IDisposable
{
    private const ulong CommandList = TestMemory.Start, FisArea = TestMemory.Start + 0x1000, Table = TestMemory.Start + 0x2000;

    private readonly TestMemory _ram = new(1 << 20);
    private readonly VirtualizationDriver _disk = new(new HostClassDriver(new MemoryPortDriver(1 << 20), NullLogger.Instance), "SERIAL", 512);
    private readonly VfioInterrupt _interrupt = new();
    private AhciVfioDevice _device;
    private int _notShared;

    public AhciVfioDeviceTests()
    {
        _device = new AhciVfioDevice(_disk, _interrupt, () => _notShared++);
        _device.SetMemory(_ram.Memory);
    }

    public void Dispose()
    {
        _device.Dispose();
        _interrupt.Dispose();
        _disk.Dispose();
        _ram.Dispose();
    }

    [Fact]
    public void The_registers_are_BAR_5_and_the_configuration_space_is_its_own_region()
    {
        Assert.Equal(VfioPciRegion.Count, _device.Regions.Count);
        for (var region = 0; region < VfioPciRegion.Count; region++)
        {
            var size = region switch { VfioPciRegion.Bar5 => HbaRegister.AbarBytes, VfioPciRegion.Configuration => PciConfig.SizeInBytes, _ => 0 };
            Assert.Equal(((ulong)size, size > 0 ? VfioRegionFlags.Read | VfioRegionFlags.Write : VfioRegionFlags.None), (_device.Regions[region].Size, _device.Regions[region].Flags));
        }
        Assert.Equal(HbaRegister.Version131, Read(VfioPciRegion.Bar5, HbaRegister.VS));
        Assert.Equal(PciConfig.AhciClassCode, Read(VfioPciRegion.Configuration, PciConfig.RevisionId) >> 8);
    }

    [Fact]
    public void A_client_that_shares_no_memory_sees_a_port_without_a_disk_and_is_reported_once()
    {
        _device.Dispose();
        _device = new AhciVfioDevice(_disk, _interrupt, () => _notShared++);
        _device.SetUnsharedRanges(2);
        Assert.Equal((0x133u, 0), (Port(PortRegister.PxSSTS), _notShared));
        StartPort(PciCommand.MemorySpace | PciCommand.BusMaster);
        Assert.Equal((0u, SataLink.SignatureNone, 1), (Port(PortRegister.PxSSTS), Port(PortRegister.PxSIG), _notShared));
        Write(VfioPciRegion.Bar5, HbaRegister.GHC, (uint)GlobalHostControl.HR);
        StartPort(PciCommand.MemorySpace | PciCommand.BusMaster);
        Port(PortRegister.PxSCTL, SataLink.DETReset);
        Port(PortRegister.PxSCTL, 0);
        Assert.Equal((0u, 1), (Port(PortRegister.PxSSTS), _notShared));

        // No map at all, as between two maps of a client with an IOMMU.
        _device.SetUnsharedRanges(0);
        _device.SetMemory(null);
        Assert.Equal(0x133u, Port(PortRegister.PxSSTS));
        _device.SetMemory(_ram.Memory);
        StartPort(PciCommand.MemorySpace | PciCommand.BusMaster);
        Assert.Equal(PortInterrupt.DHRS, Flush());
    }

    [Fact]
    public void A_client_that_maps_its_memory_anew_keeps_its_disk_meanwhile()
    {
        // Read-only memory of the firmware is never shared.
        _device.SetUnsharedRanges(2);
        StartPort(PciCommand.MemorySpace | PciCommand.BusMaster);
        _device.SetMemory(null);
        Assert.Equal((0x133u, 0), (Port(PortRegister.PxSSTS), _notShared));
        _device.SetMemory(_ram.Memory);
        Assert.Equal(PortInterrupt.DHRS, Flush());
    }

    [Fact]
    public void Without_bus_master_a_command_fails_and_writes_nothing_to_memory()
    {
        StartPort(PciCommand.MemorySpace);
        Assert.Equal(PortInterrupt.HBFS, Flush() & PortInterrupt.HBFS);
        Assert.Equal(-1, _ram.Span(FisArea, 0x100).IndexOfAnyExcept((byte)0));

        StartPort(PciCommand.MemorySpace | PciCommand.BusMaster);
        Assert.Equal(PortInterrupt.DHRS, Flush());
    }

    [Fact]
    public void Interrupt_Disable_gates_INTx_but_not_Interrupt_Status()
    {
        var pin = EventFd.Create();
        _interrupt.SetEvent(VfioPciIrq.Intx, pin);
        StartPort(PciCommand.MemorySpace | PciCommand.BusMaster | PciCommand.InterruptDisable);
        Flush(acknowledges: false);
        Assert.Equal((true, false), (HasInterruptStatus(), pin.TryDrain()));
        Write(VfioPciRegion.Configuration, PciConfig.Command, (uint)(PciCommand.MemorySpace | PciCommand.BusMaster), bytes: 2);
        Assert.Equal((true, true), (HasInterruptStatus(), pin.TryDrain()));
        Acknowledge();
        Assert.False(HasInterruptStatus());
    }

    [Fact]
    public void A_reset_restores_the_power_on_state_of_both_regions()
    {
        StartPort(PciCommand.MemorySpace | PciCommand.BusMaster);
        _device.Reset();
        Assert.Equal(0u, Read(VfioPciRegion.Configuration, PciConfig.Command) & 0xffff);
        Assert.Equal((0u, 0u), (Port(PortRegister.PxCLB), Port(PortRegister.PxIE)));
        // The memory is the client's, and is used again when the driver sets bus master.
        StartPort(PciCommand.MemorySpace | PciCommand.BusMaster);
        Assert.Equal(PortInterrupt.DHRS, Flush());
    }

    private void StartPort(PciCommand command)
    {
        Write(VfioPciRegion.Configuration, PciConfig.Command, (uint)command, bytes: 2);
        Port(PortRegister.PxCMD, 0);
        Port(PortRegister.PxCLB, (uint)CommandList);
        Port(PortRegister.PxFB, (uint)FisArea);
        Port(PortRegister.PxSERR, uint.MaxValue);
        Port(PortRegister.PxIS, uint.MaxValue);
        Write(VfioPciRegion.Bar5, HbaRegister.IS, 1);
        Port(PortRegister.PxIE, uint.MaxValue);
        // Without memory the signature's FIS fails, so FRE is set with memory only.
        var fisReceive = (command & PciCommand.BusMaster) != 0 ? PortCommand.FRE : PortCommand.None;
        Port(PortRegister.PxCMD, (uint)fisReceive);
        Port(PortRegister.PxCMD, (uint)(fisReceive | PortCommand.ST));
        Write(VfioPciRegion.Bar5, HbaRegister.GHC, (uint)(GlobalHostControl.AE | GlobalHostControl.IE));
    }

    private PortInterrupt Flush(bool acknowledges = true)
    {
        Assert.True(_ram.Memory.TryWrite(CommandList, new CommandHeader { Flags = (CommandHeaderFlags)HostToDeviceFis.Dwords, CommandTable = Table }));
        Assert.True(_ram.Memory.TryWrite(Table, AhciMachine.Fis(AtaCommand.FlushCacheExt)));
        Port(PortRegister.PxCI, 1);
        AhciMachine.WaitUntil(() => Port(PortRegister.PxCI) == 0 || ((PortInterrupt)Port(PortRegister.PxIS) & AhciMachine.Errors) != 0);
        var interrupts = (PortInterrupt)Port(PortRegister.PxIS);
        if (acknowledges) Acknowledge();
        return interrupts;
    }

    private void Acknowledge()
    {
        Port(PortRegister.PxIS, uint.MaxValue);
        Write(VfioPciRegion.Bar5, HbaRegister.IS, 1);
    }

    private bool HasInterruptStatus() => ((PciStatus)(Read(VfioPciRegion.Configuration, PciConfig.Command) >> 16) & PciStatus.Interrupt) != 0;

    private uint Port(int register) => Read(VfioPciRegion.Bar5, HbaRegister.OfPort(0, register));

    private void Port(int register, uint value) => Write(VfioPciRegion.Bar5, HbaRegister.OfPort(0, register), value);

    private uint Read(int region, int offset)
    {
        Span<byte> bytes = stackalloc byte[4];
        Assert.True(_device.ReadRegion(region, (ulong)offset, bytes));
        return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
    }

    private void Write(int region, int offset, uint value, int bytes = 4)
    {
        Span<byte> data = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(data, value);
        Assert.True(_device.WriteRegion(region, (ulong)offset, data[..bytes]));
    }
}
