using System.Runtime.InteropServices;

namespace VmShunt.Trap.Ahci;

/// <summary>The flags and the FIS length of a command header (AHCI 1.3.1 §4.2.2).</summary>
[Flags]
public enum CommandHeaderFlags : ushort
{
    /// <summary>CFL: the length of the command FIS in dwords.</summary>
    CFLMask = 0x1F,

    /// <summary>ATAPI command.</summary>
    A = 1 << 5,

    /// <summary>Write: data moves from memory to the device.</summary>
    W = 1 << 6,

    /// <summary>Prefetchable.</summary>
    P = 1 << 7,

    /// <summary>Reset: the command is part of a software reset.</summary>
    R = 1 << 8,

    /// <summary>BIST.</summary>
    B = 1 << 9,

    /// <summary>Clear BSY upon R_OK.</summary>
    C = 1 << 10,

    /// <summary>PMP: the port multiplier port.</summary>
    PMPMask = 0xF000,
}

/// <summary>One slot of the command list: 32 bytes (AHCI 1.3.1 §4.2.2).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = SizeInBytes)]
public struct CommandHeader
{
    /// <summary>The size in memory.</summary>
    public const int SizeInBytes = 32;

    /// <summary>The offset of <see cref="PRDBC"/>.</summary>
    public const int PrdbcOffset = 4;

    /// <summary>FIS length and flags.</summary>
    public CommandHeaderFlags Flags;

    /// <summary>The number of PRDT entries, 0 to 65535.</summary>
    public ushort PRDTL;

    /// <summary>The bytes transferred, written by the HBA.</summary>
    public uint PRDBC;

    /// <summary>The command table's address, low half; 128-byte aligned.</summary>
    public uint CTBA;

    /// <summary>The command table's address, high half.</summary>
    public uint CTBAU;

    /// <summary>The command table's guest-physical address, a multiple of 128.</summary>
    public ulong CommandTable
    {
        readonly get => ((ulong)CTBAU << 32 | CTBA) & ~0x7FUL;
        set
        {
            CTBA = (uint)value;
            CTBAU = (uint)(value >> 32);
        }
    }
}

/// <summary>Offsets in a command table (AHCI 1.3.1 §4.2.3).</summary>
public static class CommandTable
{
    /// <summary>The command FIS, up to 64 bytes.</summary>
    public const int CFIS = 0x00;

    /// <summary>The ATAPI command, 12 or 16 bytes.</summary>
    public const int ACMD = 0x40;

    /// <summary>The physical region descriptor table.</summary>
    public const int PRDT = 0x80;
}

/// <summary>One entry of the physical region descriptor table: 16 bytes (AHCI 1.3.1 §4.2.3.3).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1, Size = SizeInBytes)]
public struct PrdtEntry
{
    /// <summary>The size in memory.</summary>
    public const int SizeInBytes = 16;

    /// <summary>The most bytes of one entry: 4 MiB.</summary>
    public const int MaxBytes = 1 << 22;

    private const uint InterruptBit = 1u << 31;

    /// <summary>The data's address, low half; word aligned.</summary>
    public uint DBA;

    /// <summary>The data's address, high half.</summary>
    public uint DBAU;

    /// <summary>Reserved.</summary>
    public uint Reserved;

    /// <summary>DBC (byte count minus one, bits 21:0, always odd) and I (bit 31).</summary>
    public uint DescriptionInformation;

    /// <summary>The data's guest-physical address.</summary>
    public ulong Address
    {
        readonly get => (ulong)DBAU << 32 | DBA;
        set
        {
            DBA = (uint)value;
            DBAU = (uint)(value >> 32);
        }
    }

    /// <summary>The byte count, 1 to 4 MiB; software must make it even.</summary>
    public int ByteCount
    {
        readonly get => (int)(DescriptionInformation & (MaxBytes - 1)) + 1;
        set => DescriptionInformation = (DescriptionInformation & InterruptBit) | ((uint)(value - 1) & (MaxBytes - 1));
    }

    /// <summary>I: raise PxIS.DPS when this entry has been transferred.</summary>
    public bool Interrupt
    {
        readonly get => (DescriptionInformation & InterruptBit) != 0;
        set => DescriptionInformation = value ? DescriptionInformation | InterruptBit : DescriptionInformation & ~InterruptBit;
    }
}
