using System.Buffers.Binary;
using VmShunt.AhciBackend.Controller;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.HostPartition.Ahci.Controller;

public class PciFunctionTests
{
    private readonly PciFunction _function = new();

    [Fact]
    public void It_is_an_AHCI_controller_with_INTA_and_one_memory_region()
    {
        Assert.Equal(0x0106_0102u, Read(0x08));
        Assert.Equal(0u, Read(0x0C) & 0x00FF_0000);
        Assert.Equal(1u, Read(PciConfig.InterruptLine) >> 8 & 0xFF);
        for (var bar = 0x10; bar < PciConfig.Bar5; bar += 4)
        {
            Write(bar, uint.MaxValue);
            Assert.Equal(0u, Read(bar));
        }
    }

    [Fact]
    public void BAR_5_reports_its_size_and_keeps_its_address()
    {
        Write(PciConfig.Bar5, uint.MaxValue);
        Assert.Equal(0xFFFF_F000u, Read(PciConfig.Bar5));
        Write(PciConfig.Bar5, 0xF000_1000);
        Assert.Equal(0xF000_1000u, Read(PciConfig.Bar5));
    }

    [Fact]
    public void The_command_register_is_what_the_driver_sets()
    {
        _function.Write(PciConfig.Command, [0xFF, 0xFF]);
        Assert.Equal(0x0546u, Read(PciConfig.Command) & 0xFFFF);
        Assert.True(_function.IsBusMaster && _function.IsInterruptDisabled);
        _function.Write(PciConfig.Command, [0, 0]);
        Assert.False(_function.IsBusMaster || _function.IsInterruptDisabled);
    }

    [Fact]
    public void A_driver_finds_the_MSI_capability_and_can_enable_it()
    {
        Assert.Equal((uint)PciStatus.CapabilitiesList, Read(PciConfig.Command) >> 16);
        var at = (int)(Read(PciConfig.CapabilitiesPointer) & 0xFF);
        Assert.Equal(PciConfig.MsiCapabilityId, Read(at) & 0xFFFF); // and the last one
        Assert.Equal(0x0080u, Read(at) >> 16);
        Write(at + 4, 0xFEE0_0003);
        Write(at + 8, 0x1);
        Write(at + 12, 0x4041);
        _function.Write((ulong)at + 2, [0x01, 0x00]);
        Assert.Equal((0xFEE0_0000u, 1u, 0x4041u), (Read(at + 4), Read(at + 8), Read(at + 12)));
        Assert.True(_function.IsMsiEnabled);
        _function.Reset();
        Assert.False(_function.IsMsiEnabled);
        Assert.Equal(0u, Read(at + 4));
    }

    [Fact]
    public void The_interrupt_status_bit_follows_the_line()
    {
        _function.SetInterruptStatus(true);
        Assert.Equal((uint)(PciStatus.CapabilitiesList | PciStatus.Interrupt), Read(PciConfig.Command) >> 16);
        _function.SetInterruptStatus(false);
        Assert.Equal((uint)PciStatus.CapabilitiesList, Read(PciConfig.Command) >> 16);
    }

    [Fact]
    public void Every_offset_and_width_is_harmless_and_the_ids_are_read_only()
    {
        var identity = (Read(0), Read(8), Read(PciConfig.SubsystemVendorId));
        for (var offset = 0; offset < 0x110; offset++)
        {
            foreach (var width in (int[])[0, 1, 2, 4, 8, 300])
            {
                var bytes = new byte[width];
                Array.Fill(bytes, (byte)0xFF);
                _function.Write((ulong)offset, bytes);
                _function.Read((ulong)offset, bytes);
            }
        }
        _function.Read(ulong.MaxValue, new byte[8]);
        Assert.Equal(identity, (Read(0), Read(8), Read(PciConfig.SubsystemVendorId)));
        Assert.Equal(1u, Read(PciConfig.InterruptLine) >> 8 & 0xFF);
    }

    private uint Read(int offset)
    {
        Span<byte> bytes = stackalloc byte[4];
        _function.Read((ulong)offset, bytes);
        return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
    }

    private void Write(int offset, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        _function.Write((ulong)offset, bytes);
    }
}
