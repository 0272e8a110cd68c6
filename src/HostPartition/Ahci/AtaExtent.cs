using VmShunt.Trap.Ahci;

namespace VmShunt.HostPartition.Ahci;

/// <summary>The sectors that a command names. A count register of 0 means as many as it could count plus one (ACS-2 §4.1).</summary>
internal readonly record struct AtaExtent(ulong Lba, ulong Sectors)
{
    /// <summary>Reads a 28-bit address and an 8-bit count.</summary>
    /// <returns>False where the address is a cylinder, head and sector: no such geometry is kept.</returns>
    internal static bool TryDecode28(in AtaAddress address, out AtaExtent extent)
    {
        var lba = (address.Lba & 0xFF_FFFF) | (ulong)(address.Device & AtaDevice.LbaMask) << 24;
        var count = address.Count & 0xFFu;
        extent = new AtaExtent(lba, count == 0 ? 256 : count);
        return (address.Device & AtaDevice.LBA) != 0;
    }

    /// <summary>Reads a 48-bit address and a 16-bit count.</summary>
    internal static AtaExtent Decode48(in AtaAddress address) => new(address.Lba, address.Count == 0 ? 65536u : address.Count);

    /// <summary>Whether all of it is on the disk.</summary>
    internal bool IsOn(VirtualizationDriver disk)
    {
        var capacity = disk.SectorCount;
        return Sectors <= capacity && Lba <= capacity - Sectors;
    }
}
