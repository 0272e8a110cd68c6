using VmShunt.BlockBackend;
using VmShunt.BlockBackend.Disk;
using VmShunt.Trap.Ahci;

namespace VmShunt.AhciBackend.Controller;

/// <summary>The emulated disk's IDENTIFY DEVICE and SMART READ DATA.</summary>
internal static class AtaIdentity
{
    internal const byte DefaultUltraDmaMode = 6;

    private const string Model = "VmShunt AHCI disk", Firmware = "1.0";

    /// <summary>Fills in the IDENTIFY DEVICE data (ACS-2 §7.12.7).</summary>
    internal static void Describe(VirtualizationDriver disk, ulong sectors, WriteCacheSwitch writeCache, bool smart, byte ultraDmaMode, IdentifyData id)
    {
        for (var word = 0; word < 256; word++) id[word] = 0;
        id.Model = Model;
        id.Firmware = Firmware;
        id.Serial = disk.Serial;
        id.Sectors = sectors;
        id.SetSectorSizes(disk.BlockBytes, disk.Topology.PhysicalBlockBytes);

        id[IdentifyWord.GeneralConfiguration] = 0x0040; // fixed disk
        // The geometry that every large disk reports, for firmware that uses cylinders.
        id[IdentifyWord.Cylinders] = (ushort)Math.Min(sectors / (16 * 63), 16383);
        id[IdentifyWord.Heads] = 16;
        id[IdentifyWord.SectorsPerTrack] = 63;
        id[IdentifyWord.Multiple] = 0x8000;
        id[IdentifyWord.Capabilities] = 0x2F00; // standby timer, IORDY, LBA, DMA
        id[IdentifyWord.Capabilities2] = 0x4000;
        id[IdentifyWord.FieldValidity] = 0x0006;
        id[IdentifyWord.MultiwordDma] = 0x0007;
        id[IdentifyWord.PioModes] = 0x0003;
        for (var i = 0; i < 4; i++) id[IdentifyWord.CycleTimes + i] = 120;
        id[IdentifyWord.QueueDepth] = IssueQueue.Slots - 1;
        id[IdentifyWord.SataCapabilities] = 0x010E; // 1.5, 3 and 6 Gb/s, NCQ
        id[IdentifyWord.MajorVersion] = 0x03F0; // ATA/ATAPI-4 to ACS-2
        id[IdentifyWord.UltraDma] = (ushort)(0x007F | 1 << (8 + ultraDmaMode));
        id[IdentifyWord.RotationRate] = 1;
        id[IdentifyWord.TransportMajorVersion] = 0x103F;

        id[IdentifyWord.Supported] = (ushort)(0x0049 | (writeCache.Exists ? 0x20 : 0)); // look-ahead, power management, SMART, write cache
        id[IdentifyWord.Supported + 1] = 0x7400; // FLUSH CACHE EXT, FLUSH CACHE, LBA48
        id[IdentifyWord.Supported + 2] = 0x4060; // WRITE DMA FUA EXT, READ LOG EXT; no error log, no self-test
        id[IdentifyWord.Enabled] = (ushort)(0x0048 | (writeCache.IsOn ? 0x20 : 0) | (smart ? 1 : 0));
        id[IdentifyWord.Enabled + 1] = 0x3400;
        id[IdentifyWord.Enabled + 2] = 0x4060;
        // A serial number that many disks have names none, and two disks of one name are taken for two paths to one disk.
        if (disk.Serial != BlockStorage.DefaultSerial) id.SetWorldWideName(WorldWideName(disk.Serial));
        if (!disk.IsReadOnly)
        {
            id[IdentifyWord.SataCapabilities2] = 1 << 6; // SEND FPDMA QUEUED
            id[IdentifyWord.DataSetManagement] = 1;
            id[IdentifyWord.DataSetManagementBlocks] = AtaRanges.MaxBlocks;
            // Reads after TRIM are deterministic: the old data, or zeros.
            id[IdentifyWord.AdditionalSupported] = (ushort)(disk.DiscardIsDeterministic ? 1 << 14 : 0);
        }
        id.Seal();
    }

    /// <summary>
    /// A name of the serial number: NAA 5, an OUI that is locally administered, since the project has none, and 36 bits of a
    /// hash (FNV-1a), so that it stays the same wherever the disk is served.
    /// </summary>
    internal static ulong WorldWideName(string serial)
    {
        const ulong naa = 5UL << 60, oui = 0x02_5653UL << 36;
        var hash = 0xCBF2_9CE4_8422_2325UL;
        foreach (var c in serial) hash = unchecked((hash ^ c) * 0x100_0000_01B3UL);
        return naa | oui | (hash ^ hash >> 36) & 0xF_FFFF_FFFFUL;
    }

    /// <summary>
    /// Fills in the SMART READ DATA structure (ACS-2 §7.48.6), no attributes, no errors, no self-test; that of SMART READ
    /// THRESHOLDS is the same then.
    /// </summary>
    internal static void DescribeHealth(Span<byte> data)
    {
        data.Clear();
        data[0] = 0x10;
        byte sum = 0;
        foreach (var b in data[..^1]) sum += b;
        data[^1] = (byte)-sum;
    }

    /// <summary>Fills in the log directory (ACS-2 §A.2, §A.3): a version, and the number of pages of each log.</summary>
    internal static void DescribeLogs(Span<byte> data, bool isGeneralPurpose, bool canSendQueued)
    {
        data.Clear();
        data[0] = 1;
        if (!isGeneralPurpose) return;
        data[2 * (int)AtaLog.QueuedError] = 1;
        data[2 * (int)AtaLog.SendReceive] = (byte)(canSendQueued ? 1 : 0);
    }

    /// <summary>Fills in the log of SEND FPDMA QUEUED (ACS-3 §A.16): DATA SET MANAGEMENT, of it TRIM.</summary>
    internal static void DescribeSendQueued(Span<byte> data)
    {
        data.Clear();
        data[0] = data[4] = 1;
    }
}
