namespace VmShunt.Trap.Ahci;

/// <summary>The words of the IDENTIFY DEVICE data that are written or read here (ACS-2 §7.12.7).</summary>
public static class IdentifyWord
{
    /// <summary>General configuration; bit 15 clear for an ATA device.</summary>
    public const int GeneralConfiguration = 0;

    /// <summary>Logical cylinders (obsolete).</summary>
    public const int Cylinders = 1;

    /// <summary>Logical heads (obsolete).</summary>
    public const int Heads = 3;

    /// <summary>Logical sectors per track (obsolete).</summary>
    public const int SectorsPerTrack = 6;

    /// <summary>Serial number: words 10 to 19, 20 characters.</summary>
    public const int Serial = 10;

    /// <summary>Firmware revision: words 23 to 26, 8 characters.</summary>
    public const int Firmware = 23;

    /// <summary>Model number: words 27 to 46, 40 characters.</summary>
    public const int Model = 27;

    /// <summary>Sectors per DRQ block of READ/WRITE MULTIPLE.</summary>
    public const int Multiple = 47;

    /// <summary>Capabilities: DMA, LBA, IORDY, standby timer.</summary>
    public const int Capabilities = 49;

    /// <summary>Capabilities, second word.</summary>
    public const int Capabilities2 = 50;

    /// <summary>Which of words 64 to 70 and 88 are valid.</summary>
    public const int FieldValidity = 53;

    /// <summary>Sectors that 28-bit commands reach: words 60 and 61.</summary>
    public const int Sectors28 = 60;

    /// <summary>Multiword DMA modes.</summary>
    public const int MultiwordDma = 63;

    /// <summary>PIO modes 3 and 4.</summary>
    public const int PioModes = 64;

    /// <summary>Words 65 to 68: cycle times in nanoseconds.</summary>
    public const int CycleTimes = 65;

    /// <summary>Additional supported: DRAT (bit 14), RZAT (bit 5).</summary>
    public const int AdditionalSupported = 69;

    /// <summary>Largest tag of queued commands, bits 4:0.</summary>
    public const int QueueDepth = 75;

    /// <summary>Serial ATA capabilities: speeds, NCQ (bit 8).</summary>
    public const int SataCapabilities = 76;

    /// <summary>Serial ATA capabilities, second word: SEND FPDMA QUEUED (bit 6).</summary>
    public const int SataCapabilities2 = 77;

    /// <summary>Major version: one bit per standard.</summary>
    public const int MajorVersion = 80;

    /// <summary>Commands and feature sets supported: words 82 to 84.</summary>
    public const int Supported = 82;

    /// <summary>Commands and feature sets supported or enabled: words 85 to 87.</summary>
    public const int Enabled = 85;

    /// <summary>Ultra DMA modes supported and selected.</summary>
    public const int UltraDma = 88;

    /// <summary>Sectors that 48-bit commands reach: words 100 to 103.</summary>
    public const int Sectors48 = 100;

    /// <summary>512-byte blocks of range entries per DATA SET MANAGEMENT command.</summary>
    public const int DataSetManagementBlocks = 105;

    /// <summary>Physical and logical sector size.</summary>
    public const int SectorSize = 106;

    /// <summary>World wide name: words 108 to 111, valid with bit 8 of word 87.</summary>
    public const int WorldWideName = 108;

    /// <summary>Words per logical sector: words 117 and 118, when longer than 256.</summary>
    public const int LogicalSectorWords = 117;

    /// <summary>DATA SET MANAGEMENT: TRIM in bit 0.</summary>
    public const int DataSetManagement = 169;

    /// <summary>Nominal rotation rate; 1 for a non-rotating disk.</summary>
    public const int RotationRate = 217;

    /// <summary>Transport major version; serial in bits 15:12.</summary>
    public const int TransportMajorVersion = 222;

    /// <summary>Integrity word: A5h and the checksum.</summary>
    public const int Integrity = 255;
}
