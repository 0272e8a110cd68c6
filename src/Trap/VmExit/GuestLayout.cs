using VmShunt.Ring.Memory;

namespace VmShunt.Trap.VmExit;

/// <summary>
/// The guest-physical address map: low RAM up to 3 GiB, then the crash reserve and the devices, and the remaining RAM from
/// 4 GiB.
/// </summary>
public static class GuestLayout
{
    /// <summary>The page size; RAM sizes are multiples of it.</summary>
    public const ulong PageBytes = 4096;

    /// <summary>The largest end of low RAM.</summary>
    public const ulong LowLimit = 0xC000_0000;

    /// <summary>High RAM starts here.</summary>
    public const ulong HighBase = 0x1_0000_0000;

    /// <summary>The crash reserve: memory in a separate file, owned by the crash path since boot and never shared with a bus channel.</summary>
    public const ulong CrashReserveAddress = 0xD000_0000;

    /// <summary>The size of the crash reserve.</summary>
    public const int CrashReserveBytes = 1 << 20;

    /// <summary>The PCI configuration space of bus 0: 4 KiB a function (PCI Express 4.0 §7.2.2).</summary>
    public const ulong EcamAddress = 0xE000_0000;

    /// <summary>The size of bus 0 in the configuration space: 32 devices of 8 functions.</summary>
    public const ulong EcamBytes = 32 * 8 * 4096;

    /// <summary>The ABAR of device 0; each further device is <see cref="BarStride"/> higher.</summary>
    public const ulong BarAddress = 0xF000_0000;

    /// <summary>The distance of two devices' ABARs.</summary>
    public const ulong BarStride = 0x1000;

    /// <summary>The interrupt vector of device 0; device N has this plus N.</summary>
    public const int FirstVector = 32;

    /// <summary>
    /// The interrupt vector of the bus: an offer was made or rescinded; <see cref="Hypercall.QueryBus"/> reports which. It
    /// follows the vectors of the devices.
    /// </summary>
    public const int BusVector = FirstVector + MaxDevices;

    /// <summary>The largest number of virtual processors of a partition.</summary>
    public const int MaxProcessors = 64;

    /// <summary>The largest number of devices: all of PCI bus 0 but the host bridge.</summary>
    public const int MaxDevices = 31;

    /// <summary>The configuration space of device <paramref name="device"/>, function 00:(N+1).0.</summary>
    public static ulong ConfigurationAddress(int device) => EcamAddress + ((ulong)(device + 1) << 15);

    /// <summary>The parts of the RAM's file: low RAM, and high RAM if it exists.</summary>
    public static MemoryPart[] Parts(ulong ramBytes)
    {
        var low = Math.Min(ramBytes, LowLimit);
        return low == ramBytes ? [new(0, low, 0)] : [new(0, low, 0), new(HighBase, ramBytes - low, low)];
    }
}
