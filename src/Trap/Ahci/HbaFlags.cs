namespace VmShunt.Trap.Ahci;

/// <summary>The single-bit fields of CAP (AHCI 1.3.1 §3.1.1); the numbers in it are read with <see cref="CapFields"/>.</summary>
[Flags]
public enum HbaCapabilities : uint
{
    /// <summary>External SATA.</summary>
    SXS = 1u << 5,

    /// <summary>Enclosure management.</summary>
    EMS = 1u << 6,

    /// <summary>Command completion coalescing.</summary>
    CCCS = 1u << 7,

    /// <summary>Partial state capable.</summary>
    PSC = 1u << 13,

    /// <summary>Slumber state capable.</summary>
    SSC = 1u << 14,

    /// <summary>Multiple DRQ blocks per PIO command.</summary>
    PMD = 1u << 15,

    /// <summary>FIS-based switching.</summary>
    FBSS = 1u << 16,

    /// <summary>Port multipliers.</summary>
    SPM = 1u << 17,

    /// <summary>AHCI mode only: GHC.AE is read-only 1.</summary>
    SAM = 1u << 18,

    /// <summary>Command list override (PxCMD.CLO).</summary>
    SCLO = 1u << 24,

    /// <summary>Activity LED.</summary>
    SAL = 1u << 25,

    /// <summary>Aggressive link power management.</summary>
    SALP = 1u << 26,

    /// <summary>Staggered spin-up.</summary>
    SSS = 1u << 27,

    /// <summary>Mechanical presence switch.</summary>
    SMPS = 1u << 28,

    /// <summary>SNotification register.</summary>
    SSNTF = 1u << 29,

    /// <summary>Native command queuing.</summary>
    SNCQ = 1u << 30,

    /// <summary>64-bit addressing.</summary>
    S64A = 1u << 31,
}

/// <summary>The numbers in CAP (AHCI 1.3.1 §3.1.1), all 0's based as in the register.</summary>
public static class CapFields
{
    /// <summary>NP: ports minus one, bits 4:0.</summary>
    public const int NPShift = 0;

    /// <summary>NCS: command slots minus one, bits 12:8.</summary>
    public const int NCSShift = 8;

    /// <summary>ISS: interface speed, bits 23:20; 1, 2, 3 for 1.5, 3 and 6 Gb/s.</summary>
    public const int ISSShift = 20;

    /// <summary>The number of command slots in a CAP value, 1 to 32.</summary>
    public static int CommandSlots(uint cap) => (int)(cap >> NCSShift & 0x1F) + 1;
}

/// <summary>GHC (AHCI 1.3.1 §3.1.2).</summary>
[Flags]
public enum GlobalHostControl : uint
{
    /// <summary>HBA reset: set by software, cleared by the HBA when the reset completes.</summary>
    HR = 1u << 0,

    /// <summary>Interrupt enable.</summary>
    IE = 1u << 1,

    /// <summary>MSI revert to single message.</summary>
    MRSM = 1u << 2,

    /// <summary>AHCI enable.</summary>
    AE = 1u << 31,
}
