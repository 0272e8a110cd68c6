namespace VmShunt.Trap.Ahci;

/// <summary>The registers of one port: byte offsets from the port's start (AHCI 1.3.1 §3.3). Each is 32 bits wide.</summary>
public static class PortRegister
{
    /// <summary>Command list base address, low half; 1 KiB aligned.</summary>
    public const int PxCLB = 0x00;

    /// <summary>Command list base address, high half.</summary>
    public const int PxCLBU = 0x04;

    /// <summary>FIS base address, low half; 256-byte aligned without FIS-based switching.</summary>
    public const int PxFB = 0x08;

    /// <summary>FIS base address, high half.</summary>
    public const int PxFBU = 0x0C;

    /// <summary>Interrupt status; see <see cref="PortInterrupt"/>. Write 1 to clear.</summary>
    public const int PxIS = 0x10;

    /// <summary>Interrupt enable; see <see cref="PortInterrupt"/>.</summary>
    public const int PxIE = 0x14;

    /// <summary>Command and status; see <see cref="PortCommand"/>.</summary>
    public const int PxCMD = 0x18;

    /// <summary>Task file data: ATA status in bits 7:0, ATA error in bits 15:8. Read-only.</summary>
    public const int PxTFD = 0x20;

    /// <summary>Signature of the attached device. Read-only.</summary>
    public const int PxSIG = 0x24;

    /// <summary>SATA status (SStatus); see <see cref="SataLink"/>. Read-only.</summary>
    public const int PxSSTS = 0x28;

    /// <summary>SATA control (SControl); see <see cref="SataLink"/>.</summary>
    public const int PxSCTL = 0x2C;

    /// <summary>SATA error (SError); see <see cref="SataLink"/>. Write 1 to clear.</summary>
    public const int PxSERR = 0x30;

    /// <summary>SATA active: one bit per slot, for native command queuing.</summary>
    public const int PxSACT = 0x34;

    /// <summary>Command issue: one write-1-to-set bit per slot, cleared by the HBA on completion or when ST becomes 0.</summary>
    public const int PxCI = 0x38;

    /// <summary>SATA notification.</summary>
    public const int PxSNTF = 0x3C;

    /// <summary>FIS-based switching control.</summary>
    public const int PxFBS = 0x40;

    /// <summary>Device sleep.</summary>
    public const int PxDEVSLP = 0x44;
}
