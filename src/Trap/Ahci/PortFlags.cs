namespace VmShunt.Trap.Ahci;

/// <summary>The bits of PxIS and PxIE (AHCI 1.3.1 §3.3.5, §3.3.6).</summary>
[Flags]
public enum PortInterrupt : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Device to Host Register FIS with the I bit.</summary>
    DHRS = 1u << 0,

    /// <summary>PIO Setup FIS with the I bit, its data transferred.</summary>
    PSS = 1u << 1,

    /// <summary>DMA Setup FIS with the I bit.</summary>
    DSS = 1u << 2,

    /// <summary>Set Device Bits FIS with the I bit.</summary>
    SDBS = 1u << 3,

    /// <summary>Unknown FIS; follows PxSERR.DIAG.F.</summary>
    UFS = 1u << 4,

    /// <summary>A PRD with the I bit was transferred completely.</summary>
    DPS = 1u << 5,

    /// <summary>Port connect change; follows PxSERR.DIAG.X.</summary>
    PCS = 1u << 6,

    /// <summary>Device mechanical presence.</summary>
    DMPS = 1u << 7,

    /// <summary>PhyRdy change; follows PxSERR.DIAG.N.</summary>
    PRCS = 1u << 22,

    /// <summary>Incorrect port multiplier.</summary>
    IPMS = 1u << 23,

    /// <summary>Overflow: the PRDT has fewer bytes than the command moves (§6.1.5).</summary>
    OFS = 1u << 24,

    /// <summary>Interface non-fatal error.</summary>
    INFS = 1u << 26,

    /// <summary>Interface fatal error.</summary>
    IFS = 1u << 27,

    /// <summary>Host bus data error.</summary>
    HBDS = 1u << 28,

    /// <summary>Host bus fatal error, such as a bad software pointer.</summary>
    HBFS = 1u << 29,

    /// <summary>Task file error: the device's status has ERR set.</summary>
    TFES = 1u << 30,

    /// <summary>Cold port detect.</summary>
    CPDS = 1u << 31,

    /// <summary>The bits stored in PxIS and cleared by writing 1; the others follow PxSERR.</summary>
    Latched = DHRS | PSS | DSS | SDBS | DPS | DMPS | IPMS | OFS | INFS | IFS | HBDS | HBFS | TFES | CPDS,

    /// <summary>All bits that can be enabled.</summary>
    All = Latched | UFS | PCS | PRCS,
}

/// <summary>The bits of PxCMD (AHCI 1.3.1 §3.3.7).</summary>
[Flags]
public enum PortCommand : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Start: process the command list.</summary>
    ST = 1u << 0,

    /// <summary>Spin-up device.</summary>
    SUD = 1u << 1,

    /// <summary>Power on device.</summary>
    POD = 1u << 2,

    /// <summary>Command list override: forces BSY and DRQ to 0.</summary>
    CLO = 1u << 3,

    /// <summary>FIS receive enable.</summary>
    FRE = 1u << 4,

    /// <summary>FIS receive running.</summary>
    FR = 1u << 14,

    /// <summary>Command list running: while it is 1, the HBA may access guest memory for a command.</summary>
    CR = 1u << 15,

    /// <summary>Device is ATAPI.</summary>
    ATAPI = 1u << 24,

    /// <summary>Drive LED on ATAPI enable.</summary>
    DLAE = 1u << 25,
}

/// <summary>The fields of PxCMD that are numbers (AHCI 1.3.1 §3.3.7).</summary>
public static class PortCommandFields
{
    /// <summary>CCS: the current command slot, bits 12:8.</summary>
    public const int CCSShift = 8;

    /// <summary>ICC: interface communication control, bits 31:28.</summary>
    public const int ICCShift = 28;
}

/// <summary>Values of the SATA superset registers PxSSTS, PxSCTL and PxSERR, and of PxSIG (AHCI 1.3.1 §3.3.9 to §3.3.12).</summary>
public static class SataLink
{
    /// <summary>The DET field of PxSSTS and PxSCTL, bits 3:0.</summary>
    public const uint DETMask = 0xF;

    /// <summary>PxSSTS.DET: a device is present, communication is not established.</summary>
    public const uint DETPresent = 1;

    /// <summary>PxSSTS.DET: a device is present and communication is established.</summary>
    public const uint DETEstablished = 3;

    /// <summary>PxSSTS.DET: the interface is offline.</summary>
    public const uint DETOffline = 4;

    /// <summary>PxSCTL.DET: perform a COMRESET while this value is set.</summary>
    public const uint DETReset = 1;

    /// <summary>PxSCTL.DET: put the interface offline.</summary>
    public const uint DETDisable = 4;

    /// <summary>PxSSTS.SPD: 6 Gb/s negotiated.</summary>
    public const uint SPDGen3 = 3u << 4;

    /// <summary>PxSSTS.IPM: the interface is active.</summary>
    public const uint IPMActive = 1u << 8;

    /// <summary>The fields of PxSCTL that software may write: DET, SPD and IPM.</summary>
    public const uint SControlWritable = 0xFFF;

    /// <summary>PxSERR.DIAG.N: PhyRdy changed.</summary>
    public const uint DIAG_N = 1u << 16;

    /// <summary>PxSERR.DIAG.F: unknown FIS.</summary>
    public const uint DIAG_F = 1u << 25;

    /// <summary>PxSERR.DIAG.X: a COMINIT was received.</summary>
    public const uint DIAG_X = 1u << 26;

    /// <summary>PxSIG of an ATA disk.</summary>
    public const uint SignatureAta = 0x0000_0101;

    /// <summary>PxSIG while no device has sent its signature.</summary>
    public const uint SignatureNone = 0xFFFF_FFFF;
}
