namespace VmShunt.Trap.Ahci;

/// <summary>The PCI configuration space of an AHCI function: byte offsets and values (PCI 3.0 §6.1; AHCI 1.3.1 §2.1).</summary>
public static class PciConfig
{
    /// <summary>The size of the space in bytes.</summary>
    public const int SizeInBytes = 256;

    /// <summary>Vendor, 16 bits; FFFFh: no function.</summary>
    public const int VendorId = 0x00;

    /// <summary>Device, 16 bits.</summary>
    public const int DeviceId = 0x02;

    /// <summary>Command, 16 bits; see <see cref="PciCommand"/>.</summary>
    public const int Command = 0x04;

    /// <summary>Status, 16 bits; see <see cref="PciStatus"/>.</summary>
    public const int Status = 0x06;

    /// <summary>Revision, 8 bits.</summary>
    public const int RevisionId = 0x08;

    /// <summary>Class code, 24 bits: programming interface, subclass, base class.</summary>
    public const int ClassCode = 0x09;

    /// <summary>Header type, 8 bits.</summary>
    public const int HeaderType = 0x0E;

    /// <summary>Base address register 5: the ABAR, 32 bits.</summary>
    public const int Bar5 = 0x24;

    /// <summary>Subsystem vendor, 16 bits.</summary>
    public const int SubsystemVendorId = 0x2C;

    /// <summary>Subsystem, 16 bits.</summary>
    public const int SubsystemId = 0x2E;

    /// <summary>The offset of the first capability, 8 bits.</summary>
    public const int CapabilitiesPointer = 0x34;

    /// <summary>Interrupt line, 8 bits: storage for software.</summary>
    public const int InterruptLine = 0x3C;

    /// <summary>Interrupt pin, 8 bits; 1 is INTA.</summary>
    public const int InterruptPin = 0x3D;

    /// <summary>The class code of a SATA controller in AHCI mode: 01h, 06h, 01h.</summary>
    public const uint AhciClassCode = 0x01_06_01;

    /// <summary>The capability of message signalled interrupts (PCI 3.0 §6.8.1).</summary>
    public const byte MsiCapabilityId = 0x05;
}

/// <summary>The PCI command register.</summary>
[Flags]
public enum PciCommand : ushort
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>The function responds to memory accesses.</summary>
    MemorySpace = 1 << 1,

    /// <summary>The function may access memory (DMA).</summary>
    BusMaster = 1 << 2,

    /// <summary>Parity error response.</summary>
    ParityError = 1 << 6,

    /// <summary>SERR# enable.</summary>
    SystemError = 1 << 8,

    /// <summary>INTx is not asserted.</summary>
    InterruptDisable = 1 << 10,
}

/// <summary>The PCI status register.</summary>
[Flags]
public enum PciStatus : ushort
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>INTx is pending, even if it is disabled.</summary>
    Interrupt = 1 << 3,

    /// <summary>The function has a capabilities list.</summary>
    CapabilitiesList = 1 << 4,
}
