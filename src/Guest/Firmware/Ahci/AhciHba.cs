using VmShunt.Guest.Firmware.Machine;
using VmShunt.Trap.Ahci;

namespace VmShunt.Guest.Firmware.Ahci;

/// <summary>An AHCI controller as PCI enumeration found it.</summary>
/// <param name="Device">The PCI device number on bus 0.</param>
/// <param name="Abar">The guest-physical address of its registers (BAR 5).</param>
public sealed record AhciHba(int Device, ulong Abar)
{
    private const int DevicesOnBus = 32;

    /// <summary>Finds the AHCI controllers (class 01:06:01) in the configuration space of bus 0.</summary>
    public static IReadOnlyList<AhciHba> FindAll(IMmio mmio, ulong ecam)
    {
        ArgumentNullException.ThrowIfNull(mmio);
        var found = new List<AhciHba>();
        for (var device = 0; device < DevicesOnBus; device++)
        {
            var config = ecam + ((ulong)device << 15);
            var vendor = (ushort)mmio.Read(config + PciConfig.VendorId, 2);
            if (vendor == 0xFFFF) continue;
            var classCode = (uint)mmio.Read(config + PciConfig.RevisionId, 4) >> 8;
            if (classCode != PciConfig.AhciClassCode) continue;
            var bar = (uint)mmio.Read(config + PciConfig.Bar5, 4);
            found.Add(new AhciHba(device, bar & ~0xFUL));
        }
        return found;
    }
}
