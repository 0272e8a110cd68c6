namespace VmShunt.Trap.Ahci;

/// <summary>The sectors of a command. A count of 0 means the largest count plus one (ACS-2 §4.1).</summary>
/// <param name="Lba">The first sector.</param>
/// <param name="Sectors">The number of sectors.</param>
public readonly record struct AtaExtent(ulong Lba, ulong Sectors)
{
    /// <summary>Reads a 28-bit address and an 8-bit count.</summary>
    /// <returns>False for a cylinder/head/sector address, which is not supported.</returns>
    public static bool TryDecode28(in AtaAddress address, out AtaExtent extent)
    {
        var lba = (address.Lba & 0xFF_FFFF) | (ulong)(address.Device & AtaDevice.LbaMask) << 24;
        var count = address.Count & 0xFFu;
        extent = new AtaExtent(lba, count == 0 ? 256 : count);
        return (address.Device & AtaDevice.LBA) != 0;
    }

    /// <summary>Reads a 48-bit address and a 16-bit count.</summary>
    public static AtaExtent Decode48(in AtaAddress address) => new(address.Lba, address.Count == 0 ? 65536u : address.Count);

    /// <summary>Reads a 48-bit address and the count of a queued command, which is in Features.</summary>
    public static AtaExtent DecodeQueued(in HostToDeviceFis fis) => new(fis.Address.Lba, fis.FeaturesWord == 0 ? 65536u : fis.FeaturesWord);

    /// <summary>Reads an LBA range entry of DATA SET MANAGEMENT (ACS-2 §7.10): LBA in bits 47:0, length in 63:48, where 0 is an unused entry.</summary>
    public static AtaExtent DecodeRange(ulong entry) => new(entry & 0xFFFF_FFFF_FFFF, entry >> 48);

    /// <summary>Whether it fits on a disk of <paramref name="capacity"/> sectors.</summary>
    public bool IsOn(ulong capacity) => Sectors <= capacity && Lba <= capacity - Sectors;

    /// <summary>Whether the two share a sector. Both must fit on a disk, so no sum overflows.</summary>
    public bool Overlaps(in AtaExtent other) => Lba < other.Lba + other.Sectors && other.Lba < Lba + Sectors;
}
