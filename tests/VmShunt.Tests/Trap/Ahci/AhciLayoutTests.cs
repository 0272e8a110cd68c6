using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.Trap.Ahci;

/// <summary>The layouts of AHCI 1.3.1 §4 and SATA 3 §10.5, byte by byte.</summary>
public class AhciLayoutTests
{
    [Fact]
    public void Every_structure_has_the_size_of_the_specification()
    {
        Assert.Equal(32, Unsafe.SizeOf<CommandHeader>());
        Assert.Equal(16, Unsafe.SizeOf<PrdtEntry>());
        Assert.Equal(20, Unsafe.SizeOf<HostToDeviceFis>());
        Assert.Equal(20, Unsafe.SizeOf<DeviceToHostFis>());
        Assert.Equal(20, Unsafe.SizeOf<PioSetupFis>());
        Assert.Equal(8, Unsafe.SizeOf<SetDeviceBitsFis>());
        Assert.Equal(10, Unsafe.SizeOf<AtaAddress>());
    }

    [Fact]
    public void A_command_header_has_the_layout_of_AHCI()
    {
        var header = new CommandHeader
        {
            Flags = (CommandHeaderFlags)5 | CommandHeaderFlags.W | CommandHeaderFlags.C,
            PRDTL = 0x1234,
            PRDBC = 0x55667788,
            CommandTable = 0x0000_0009_ABCD_EF80,
        };
        Assert.Equal("45043412887766558" + "0EFCDAB09000000", Convert.ToHexString(Bytes(ref header))[..32]);
        Assert.Equal(0x0000_0009_ABCD_EF80UL, header.CommandTable);
        header.CTBA |= 0x7F;
        Assert.Equal(0x0000_0009_ABCD_EF80UL, header.CommandTable);
    }

    [Fact]
    public void A_PRDT_entry_stores_its_byte_count_minus_one_and_keeps_the_interrupt_bit()
    {
        var entry = new PrdtEntry { Address = 0x1_2345_6788, ByteCount = 512, Interrupt = true };
        Assert.Equal("88674523010000000000000" + "0FF010080", Convert.ToHexString(Bytes(ref entry)));
        entry.ByteCount = PrdtEntry.MaxBytes;
        Assert.Equal(0x803F_FFFFu, entry.DescriptionInformation);
        Assert.Equal(PrdtEntry.MaxBytes, entry.ByteCount);
        entry.Interrupt = false;
        Assert.Equal(PrdtEntry.MaxBytes, entry.ByteCount);
    }

    [Fact]
    public void A_command_FIS_splits_the_LBA_as_SATA_defines()
    {
        var fis = new HostToDeviceFis
        {
            Type = FisType.RegisterH2D,
            Flags = FisFlags.C,
            Command = AtaCommand.ReadDmaExt,
            Features = 0x11,
            Address = new AtaAddress { Lba = 0x0605_0403_0201, Device = AtaDevice.LBA, FeaturesHigh = 0x22, Count = 0x0807 },
            Icc = 0x33,
            Control = AtaControl.SRST,
        };
        Assert.Equal("278025110102034004050622070833040" + "0000000", Convert.ToHexString(Bytes(ref fis)));
        Assert.Equal(0x0605_0403_0201UL, fis.Address.Lba);
    }

    [Fact]
    public void A_PIO_Setup_FIS_carries_the_status_after_the_data()
    {
        var fis = new PioSetupFis
        {
            Type = FisType.PioSetup,
            Flags = FisFlags.D | FisFlags.I,
            Status = AtaStatus.Ready | AtaStatus.DRQ,
            EStatus = AtaStatus.Ready,
            TransferCount = 512,
        };
        Assert.Equal("5F6058000000000000000000000000500002" + "0000", Convert.ToHexString(Bytes(ref fis)));
    }

    private static byte[] Bytes<T>(ref T value) where T : unmanaged =>
        MemoryMarshal.AsBytes(MemoryMarshal.CreateReadOnlySpan(ref value, 1)).ToArray();
}
