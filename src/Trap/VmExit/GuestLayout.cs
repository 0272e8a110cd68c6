using VmShunt.Ring.Memory;

namespace VmShunt.Trap.VmExit;

/// <summary>
/// Where things lie in a guest's physical address space. RAM below 3 GiB is low, the rest starts at 4 GiB; between
/// them are the crash reserve and the devices.
/// </summary>
public static class GuestLayout
{
    /// <summary>Memory is given in pages of this many bytes.</summary>
    public const ulong PageBytes = 4096;

    /// <summary>Low RAM ends here at the latest.</summary>
    public const ulong LowLimit = 0xC000_0000;

    /// <summary>High RAM starts here.</summary>
    public const ulong HighBase = 0x1_0000_0000;

    /// <summary>Memory on top of the guest's RAM, in a file of its own, that its crash path owns from boot; no bus shares it.</summary>
    public const ulong CrashReserveAddress = 0xD000_0000;

    /// <summary>The size of the crash reserve.</summary>
    public const int CrashReserveBytes = 1 << 20;

    /// <summary>The PCI configuration space of bus 0: 4 KiB a function (PCI Express 4.0 §7.2.2).</summary>
    public const ulong EcamAddress = 0xE000_0000;

    /// <summary>The size of bus 0 in the configuration space: 32 devices of 8 functions.</summary>
    public const ulong EcamBytes = 32 * 8 * 4096;

    /// <summary>Where the ABAR of device 0 lies; each further device 4 KiB higher.</summary>
    public const ulong BarAddress = 0xF000_0000;

    /// <summary>The distance of two devices' ABARs.</summary>
    public const ulong BarStride = 0x1000;

    /// <summary>The interrupt vector of device 0; device N has the N-th after it.</summary>
    public const int FirstVector = 32;

    /// <summary>
    /// The interrupt vector that says that bus offers have come or gone; which, <see cref="Hypercall.QueryBus"/> tells. It
    /// follows those of the devices.
    /// </summary>
    public const int BusVector = FirstVector + MaxDevices;

    /// <summary>The most virtual processors of a partition.</summary>
    public const int MaxProcessors = 64;

    /// <summary>The most devices: as many as bus 0 holds beside the host bridge.</summary>
    public const int MaxDevices = 31;

    /// <summary>The configuration space of device <paramref name="device"/>, function 00:(N+1).0.</summary>
    public static ulong ConfigurationAddress(int device) => EcamAddress + ((ulong)(device + 1) << 15);

    /// <summary>The parts of the RAM's file: low RAM, high RAM where there is any.</summary>
    public static MemoryPart[] Parts(ulong ramBytes)
    {
        var low = Math.Min(ramBytes, LowLimit);
        return low == ramBytes ? [new(0, low, 0)] : [new(0, low, 0), new(HighBase, ramBytes - low, low)];
    }
}
