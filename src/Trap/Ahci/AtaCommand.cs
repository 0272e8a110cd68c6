namespace VmShunt.Trap.Ahci;

/// <summary>ATA command codes (ACS-2 §7).</summary>
public enum AtaCommand : byte
{
    /// <summary>NOP: always aborts.</summary>
    Nop = 0x00,

    /// <summary>DATA SET MANAGEMENT; with Features bit 0, TRIM.</summary>
    DataSetManagement = 0x06,

    /// <summary>DEVICE RESET: packet devices only.</summary>
    DeviceReset = 0x08,

    /// <summary>READ SECTOR(S), 28 bits, PIO.</summary>
    ReadSectors = 0x20,

    /// <summary>READ SECTOR(S) EXT, PIO.</summary>
    ReadSectorsExt = 0x24,

    /// <summary>READ DMA EXT.</summary>
    ReadDmaExt = 0x25,

    /// <summary>READ LOG EXT, PIO; LBA bits 7:0 name an <see cref="AtaLog"/>.</summary>
    ReadLogExt = 0x2F,

    /// <summary>WRITE SECTOR(S), 28 bits, PIO.</summary>
    WriteSectors = 0x30,

    /// <summary>WRITE SECTOR(S) EXT, PIO.</summary>
    WriteSectorsExt = 0x34,

    /// <summary>WRITE DMA EXT.</summary>
    WriteDmaExt = 0x35,

    /// <summary>WRITE DMA FUA EXT: durable on completion.</summary>
    WriteDmaFuaExt = 0x3D,

    /// <summary>READ VERIFY SECTOR(S), 28 bits.</summary>
    ReadVerifySectors = 0x40,

    /// <summary>READ VERIFY SECTOR(S) EXT.</summary>
    ReadVerifySectorsExt = 0x42,

    /// <summary>READ FPDMA QUEUED: Features hold the number of sectors, Count bits 7:3 the tag.</summary>
    ReadFpdmaQueued = 0x60,

    /// <summary>WRITE FPDMA QUEUED; with Device bit 7, durable on completion.</summary>
    WriteFpdmaQueued = 0x61,

    /// <summary>SEND FPDMA QUEUED: Features hold the number of 512-byte blocks, Count bits 12:8 the subcommand.</summary>
    SendFpdmaQueued = 0x64,

    /// <summary>EXECUTE DEVICE DIAGNOSTIC.</summary>
    ExecuteDeviceDiagnostic = 0x90,

    /// <summary>SMART; Features holds an <see cref="AtaSmart"/>.</summary>
    Smart = 0xB0,

    /// <summary>READ DMA, 28 bits.</summary>
    ReadDma = 0xC8,

    /// <summary>WRITE DMA, 28 bits.</summary>
    WriteDma = 0xCA,

    /// <summary>STANDBY IMMEDIATE.</summary>
    StandbyImmediate = 0xE0,

    /// <summary>IDLE IMMEDIATE.</summary>
    IdleImmediate = 0xE1,

    /// <summary>STANDBY.</summary>
    Standby = 0xE2,

    /// <summary>IDLE.</summary>
    Idle = 0xE3,

    /// <summary>CHECK POWER MODE; Count answers FFh for active.</summary>
    CheckPowerMode = 0xE5,

    /// <summary>SLEEP.</summary>
    Sleep = 0xE6,

    /// <summary>FLUSH CACHE.</summary>
    FlushCache = 0xE7,

    /// <summary>FLUSH CACHE EXT.</summary>
    FlushCacheExt = 0xEA,

    /// <summary>IDENTIFY DEVICE: 512 bytes, PIO; see <see cref="IdentifyData"/>.</summary>
    IdentifyDevice = 0xEC,

    /// <summary>SET FEATURES; Features holds an <see cref="AtaFeature"/>.</summary>
    SetFeatures = 0xEF,
}

/// <summary>SET FEATURES subcommands (ACS-2 §7.45).</summary>
public enum AtaFeature : byte
{
    /// <summary>Enable the write cache: writes complete before they are durable.</summary>
    EnableWriteCache = 0x02,

    /// <summary>Set the transfer mode that Count names.</summary>
    SetTransferMode = 0x03,

    /// <summary>Disable read look-ahead.</summary>
    DisableReadLookAhead = 0x55,

    /// <summary>Disable the write cache.</summary>
    DisableWriteCache = 0x82,

    /// <summary>Enable read look-ahead.</summary>
    EnableReadLookAhead = 0xAA,
}

/// <summary>SMART subcommands (ACS-2 §7.48); LBA bits 23:8 must hold <see cref="AtaSmartKey.Lba"/>.</summary>
public enum AtaSmart : byte
{
    /// <summary>SMART READ DATA: 512 bytes, PIO.</summary>
    ReadData = 0xD0,

    /// <summary>SMART READ THRESHOLDS: 512 bytes, PIO (obsolete since ATA-5, and read by tools all the same).</summary>
    ReadThresholds = 0xD1,

    /// <summary>SMART READ LOG, PIO; LBA bits 7:0 name an <see cref="AtaLog"/>.</summary>
    ReadLog = 0xD5,

    /// <summary>SMART ENABLE OPERATIONS.</summary>
    EnableOperations = 0xD8,

    /// <summary>SMART DISABLE OPERATIONS.</summary>
    DisableOperations = 0xD9,

    /// <summary>SMART RETURN STATUS: LBA bits 23:8 answer <see cref="AtaSmartKey.Lba"/> while no threshold is exceeded.</summary>
    ReturnStatus = 0xDA,
}

/// <summary>Logs of READ LOG EXT and SMART READ LOG (ACS-2 annex A).</summary>
public enum AtaLog : byte
{
    /// <summary>The directory: how many pages each log has.</summary>
    Directory = 0x00,

    /// <summary>The queued command that failed: one page, which also ends the error (ACS-3 §A.14).</summary>
    QueuedError = 0x10,

    /// <summary>Which subcommands of SEND FPDMA QUEUED there are (ACS-3 §A.16).</summary>
    SendReceive = 0x13,
}

/// <summary>The key of every SMART command.</summary>
public static class AtaSmartKey
{
    /// <summary>LBA bits 23:8.</summary>
    public const ushort Lba = 0xC24F;
}
