namespace VmShunt.Trap.Ahci;

/// <summary>The ATA status register (ACS-2 §6).</summary>
[Flags]
public enum AtaStatus : byte
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>The command failed; see the error register.</summary>
    ERR = 1 << 0,

    /// <summary>Data request.</summary>
    DRQ = 1 << 3,

    /// <summary>Seek complete: obsolete, but expected by older drivers.</summary>
    DSC = 1 << 4,

    /// <summary>Device fault.</summary>
    DF = 1 << 5,

    /// <summary>Device ready.</summary>
    DRDY = 1 << 6,

    /// <summary>Busy; the other bits are invalid.</summary>
    BSY = 1 << 7,

    /// <summary>The bits that a Set Device Bits FIS carries.</summary>
    SetDeviceBits = 0x77,

    /// <summary>Ready and idle: 50h.</summary>
    Ready = DRDY | DSC,

    /// <summary>PxTFD before the device has sent its first FIS: 7Fh (AHCI 1.3.1 §3.3.8).</summary>
    NoDevice = 0x7F,
}

/// <summary>The ATA error register (ACS-2 §6).</summary>
[Flags]
public enum AtaError : byte
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>After a reset or diagnostic: the device passed.</summary>
    DiagnosticPassed = 1 << 0,

    /// <summary>Aborted.</summary>
    ABRT = 1 << 2,

    /// <summary>The address was not found: outside the disk.</summary>
    IDNF = 1 << 4,

    /// <summary>Uncorrectable data.</summary>
    UNC = 1 << 6,

    /// <summary>Interface CRC.</summary>
    ICRC = 1 << 7,
}

/// <summary>The ATA device register.</summary>
[Flags]
public enum AtaDevice : byte
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>LBA bits 27:24 of a 28-bit command.</summary>
    LbaMask = 0x0F,

    /// <summary>The address is an LBA.</summary>
    LBA = 1 << 6,

    /// <summary>Forced unit access, in a queued command.</summary>
    FUA = 1 << 7,
}

/// <summary>The ATA control register.</summary>
[Flags]
public enum AtaControl : byte
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Software reset.</summary>
    SRST = 1 << 2,
}
