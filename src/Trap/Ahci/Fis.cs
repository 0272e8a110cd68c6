using System.Runtime.InteropServices;

namespace VmShunt.Trap.Ahci;

/// <summary>The first byte of a frame information structure (SATA 3 §10.5).</summary>
public enum FisType : byte
{
    /// <summary>Register, host to device.</summary>
    RegisterH2D = 0x27,

    /// <summary>Register, device to host.</summary>
    RegisterD2H = 0x34,

    /// <summary>DMA Setup.</summary>
    DmaSetup = 0x41,

    /// <summary>PIO Setup.</summary>
    PioSetup = 0x5F,

    /// <summary>Set Device Bits.</summary>
    SetDeviceBits = 0xA1,
}

/// <summary>The second byte of a frame information structure.</summary>
[Flags]
public enum FisFlags : byte
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>The port multiplier port.</summary>
    PMPortMask = 0x0F,

    /// <summary>D in PIO Setup: data moves from device to host.</summary>
    D = 1 << 5,

    /// <summary>I in a FIS from the device: interrupt.</summary>
    I = 1 << 6,

    /// <summary>C in Register H2D: the FIS updates the command register; if clear, the control register.</summary>
    C = 1 << 7,
}

/// <summary>The ATA registers at bytes 4 to 13 of every register FIS.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct AtaAddress
{
    /// <summary>LBA bits 7:0.</summary>
    public byte Lba0;

    /// <summary>LBA bits 15:8.</summary>
    public byte Lba1;

    /// <summary>LBA bits 23:16.</summary>
    public byte Lba2;

    /// <summary>The device register; in 28-bit commands bits 3:0 are LBA bits 27:24.</summary>
    public AtaDevice Device;

    /// <summary>LBA bits 31:24.</summary>
    public byte Lba3;

    /// <summary>LBA bits 39:32.</summary>
    public byte Lba4;

    /// <summary>LBA bits 47:40.</summary>
    public byte Lba5;

    /// <summary>Features bits 15:8 from the host; reserved from the device.</summary>
    public byte FeaturesHigh;

    /// <summary>The count register.</summary>
    public ushort Count;

    /// <summary>The tag of a queued command: Count bits 7:3.</summary>
    public readonly int Tag => Count >> 3 & 0x1F;

    /// <summary>The six LBA bytes as one number, as 48-bit commands use them.</summary>
    public ulong Lba
    {
        readonly get => Lba0 | (ulong)Lba1 << 8 | (ulong)Lba2 << 16 | (ulong)Lba3 << 24 | (ulong)Lba4 << 32 | (ulong)Lba5 << 40;
        set
        {
            Lba0 = (byte)value;
            Lba1 = (byte)(value >> 8);
            Lba2 = (byte)(value >> 16);
            Lba3 = (byte)(value >> 24);
            Lba4 = (byte)(value >> 32);
            Lba5 = (byte)(value >> 40);
        }
    }
}

/// <summary>Register FIS, host to device: 20 bytes (SATA 3 §10.5.5).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct HostToDeviceFis
{
    /// <summary>Its length in dwords, for CommandHeader.CFL.</summary>
    public const int Dwords = 5;

    /// <summary><see cref="FisType.RegisterH2D"/>.</summary>
    public FisType Type;

    /// <summary>The C bit and the port multiplier port.</summary>
    public FisFlags Flags;

    /// <summary>The command.</summary>
    public AtaCommand Command;

    /// <summary>Features bits 7:0.</summary>
    public byte Features;

    /// <summary>LBA, device and count.</summary>
    public AtaAddress Address;

    /// <summary>Isochronous command completion.</summary>
    public byte Icc;

    /// <summary>The control register; see <see cref="AtaControl"/>.</summary>
    public AtaControl Control;

    /// <summary>Auxiliary.</summary>
    public uint Auxiliary;

    /// <summary>Features bits 15:0: the count of a queued command.</summary>
    public ushort FeaturesWord
    {
        readonly get => (ushort)(Features | Address.FeaturesHigh << 8);
        set
        {
            Features = (byte)value;
            Address.FeaturesHigh = (byte)(value >> 8);
        }
    }
}

/// <summary>Register FIS, device to host: 20 bytes (SATA 3 §10.5.6).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 20)]
public struct DeviceToHostFis
{
    /// <summary><see cref="FisType.RegisterD2H"/>.</summary>
    public FisType Type;

    /// <summary>The I bit.</summary>
    public FisFlags Flags;

    /// <summary>The status register.</summary>
    public AtaStatus Status;

    /// <summary>The error register.</summary>
    public AtaError Error;

    /// <summary>LBA, device and count.</summary>
    public AtaAddress Address;
}

/// <summary>PIO Setup FIS: 20 bytes (SATA 3 §10.5.11).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = 20)]
public struct PioSetupFis
{
    /// <summary><see cref="FisType.PioSetup"/>.</summary>
    public FisType Type;

    /// <summary>The D and I bits.</summary>
    public FisFlags Flags;

    /// <summary>The status register at the start of the data.</summary>
    public AtaStatus Status;

    /// <summary>The error register.</summary>
    public AtaError Error;

    /// <summary>LBA, device and count.</summary>
    public AtaAddress Address;

    /// <summary>Reserved.</summary>
    public byte Reserved;

    /// <summary>The status register after the data.</summary>
    public AtaStatus EStatus;

    /// <summary>The bytes of the data that follows.</summary>
    public ushort TransferCount;
}

/// <summary>Set Device Bits FIS: 8 bytes (SATA 3 §10.5.7).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct SetDeviceBitsFis
{
    /// <summary><see cref="FisType.SetDeviceBits"/>.</summary>
    public FisType Type;

    /// <summary>The I bit.</summary>
    public FisFlags Flags;

    /// <summary>Bits 6:4 and 2:0 of the status register.</summary>
    public AtaStatus Status;

    /// <summary>The error register.</summary>
    public AtaError Error;

    /// <summary>Protocol specific: PxSACT bits to clear.</summary>
    public uint SActive;
}

/// <summary>Where the HBA stores received FISes: offsets from PxFB (AHCI 1.3.1 §4.2.1).</summary>
public static class ReceivedFis
{
    /// <summary>DMA Setup FIS.</summary>
    public const int DSFIS = 0x00;

    /// <summary>PIO Setup FIS.</summary>
    public const int PSFIS = 0x20;

    /// <summary>Device to Host Register FIS.</summary>
    public const int RFIS = 0x40;

    /// <summary>Set Device Bits FIS.</summary>
    public const int SDBFIS = 0x58;

    /// <summary>Unknown FIS.</summary>
    public const int UFIS = 0x60;

    /// <summary>The size of the area.</summary>
    public const int SizeInBytes = 256;
}
