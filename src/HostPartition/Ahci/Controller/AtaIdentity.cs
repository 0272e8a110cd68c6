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
        id[IdentifyWord.SataCapabilities] = 0x000E; // 1.5, 3 and 6 Gb/s, no NCQ
        id[IdentifyWord.MajorVersion] = 0x03F0; // ATA/ATAPI-4 to ACS-2
        id[IdentifyWord.UltraDma] = (ushort)(0x007F | 1 << (8 + ultraDmaMode));
        id[IdentifyWord.RotationRate] = 1;
        id[IdentifyWord.TransportMajorVersion] = 0x103F;

        id[IdentifyWord.Supported] = (ushort)(0x0049 | (writeCache.Exists ? 0x20 : 0)); // look-ahead, power management, SMART, write cache
        id[IdentifyWord.Supported + 1] = 0x7400; // FLUSH CACHE EXT, FLUSH CACHE, LBA48
        id[IdentifyWord.Supported + 2] = 0x4040; // WRITE DMA FUA EXT
        id[IdentifyWord.Enabled] = (ushort)(0x0048 | (writeCache.IsOn ? 0x20 : 0) | (smart ? 1 : 0));
        id[IdentifyWord.Enabled + 1] = 0x3400;
        id[IdentifyWord.Enabled + 2] = 0x4040;
        if (!disk.IsReadOnly)
        {
            id[IdentifyWord.DataSetManagement] = 1;
            id[IdentifyWord.DataSetManagementBlocks] = AtaRanges.MaxBlocks;
            // Reads after TRIM are deterministic: the old data, or zeros.
            id[IdentifyWord.AdditionalSupported] = (ushort)(disk.DiscardIsDeterministic ? 1 << 14 : 0);
        }
        id.Seal();
    }

    /// <summary>Fills in the SMART READ DATA structure (ACS-2 §7.48.6): no attributes, no errors.</summary>
    internal static void DescribeHealth(Span<byte> data)
    {
        data.Clear();
        data[0] = 0x10;
        byte sum = 0;
        foreach (var b in data[..^1]) sum += b;
        data[^1] = (byte)-sum;
    }
}
