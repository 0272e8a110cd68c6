using VmShunt.Ring.Memory;

namespace VmShunt.Trap.VfioUser;

/// <summary>The accesses that a region allows (<c>VFIO_REGION_INFO_FLAG_*</c>).</summary>
[Flags]
public enum VfioRegionFlags : uint
{
    /// <summary>The region does not exist.</summary>
    None = 0,

    /// <summary>It can be read.</summary>
    Read = 1,

    /// <summary>It can be written.</summary>
    Write = 2,
}

/// <summary>A region of a device. Its index is its position in the list.</summary>
/// <param name="Flags">The accesses that it allows.</param>
/// <param name="Size">Its size in bytes; 0: it does not exist.</param>
public readonly record struct VfioRegionInfo(VfioRegionFlags Flags, ulong Size);

/// <summary>The regions of a PCI device (<c>VFIO_PCI_*_REGION_INDEX</c>).</summary>
public static class VfioPciRegion
{
    /// <summary>BAR 5, where AHCI has its registers.</summary>
    public const int Bar5 = 5;

    /// <summary>The expansion ROM.</summary>
    public const int Rom = 6;

    /// <summary>The configuration space.</summary>
    public const int Configuration = 7;

    /// <summary>The number of regions: six BARs, ROM, configuration space, VGA.</summary>
    public const int Count = 9;
}

/// <summary>The properties of an interrupt (<c>VFIO_IRQ_INFO_*</c>).</summary>
[Flags]
public enum VfioIrqFlags : uint
{
    /// <summary>The interrupt does not exist.</summary>
    None = 0,

    /// <summary>It is signalled by an eventfd.</summary>
    EventFd = 1,

    /// <summary>It can be masked.</summary>
    Maskable = 2,

    /// <summary>It masks itself when it is signalled.</summary>
    AutoMasked = 4,

    /// <summary>Its number of vectors cannot change while it is in use.</summary>
    NoResize = 8,
}

/// <summary>An interrupt type of a device. Its index is its position in the list.</summary>
/// <param name="Flags">Its properties.</param>
/// <param name="Count">Its number of vectors; 0: it does not exist.</param>
public readonly record struct VfioIrqInfo(VfioIrqFlags Flags, uint Count);

/// <summary>The interrupts of a PCI device (<c>VFIO_PCI_*_IRQ_INDEX</c>).</summary>
public static class VfioPciIrq
{
    /// <summary>INTx, the level-triggered pin.</summary>
    public const int Intx = 0;

    /// <summary>MSI.</summary>
    public const int Msi = 1;

    /// <summary>MSI-X.</summary>
    public const int MsiX = 2;

    /// <summary>Device errors.</summary>
    public const int Error = 3;

    /// <summary>The device asks to be released.</summary>
    public const int Request = 4;

    /// <summary>The number of interrupt types.</summary>
    public const int Count = 5;

    /// <summary>The interrupts of a device with INTx and one MSI vector.</summary>
    public static IReadOnlyList<VfioIrqInfo> PinAndOneMessage { get; } =
    [
        new(VfioIrqFlags.EventFd | VfioIrqFlags.Maskable | VfioIrqFlags.AutoMasked, 1),
        new(VfioIrqFlags.EventFd | VfioIrqFlags.NoResize, 1),
        default,
        new(VfioIrqFlags.EventFd | VfioIrqFlags.NoResize, 1),
        new(VfioIrqFlags.EventFd | VfioIrqFlags.NoResize, 1),
    ];
}

/// <summary>
/// A device behind a vfio-user session. The session calls it on one thread; the device may use others. It raises its
/// interrupt through the <see cref="VfioInterrupt"/> it was created with.
/// </summary>
public interface IVfioUserDevice : IDisposable
{
    /// <summary>The regions, by index. Never changes.</summary>
    IReadOnlyList<VfioRegionInfo> Regions { get; }

    /// <summary>The interrupts, by index. Never changes; the Count of each is 0 or 1.</summary>
    IReadOnlyList<VfioIrqInfo> Irqs { get; }

    /// <summary>Reads registers. Region, offset and length have been checked against <see cref="Regions"/>.</summary>
    /// <returns>False when the device refuses the access.</returns>
    bool ReadRegion(int region, ulong offset, Span<byte> data);

    /// <summary>Writes registers. Region, offset and length have been checked against <see cref="Regions"/>.</summary>
    /// <returns>False when the device refuses the access.</returns>
    bool WriteRegion(int region, ulong offset, ReadOnlySpan<byte> data);

    /// <summary>
    /// Sets the memory that the device may access, after each change of the DMA map; null: none. When it returns, the
    /// device no longer accesses the previous memory. It must not wait for the device's work: clients wait seconds for the reply.
    /// </summary>
    void SetMemory(GuestMemory? memory);

    /// <summary>
    /// Tells how many ranges the client mapped without a file, before each <see cref="SetMemory"/>. The device cannot access
    /// them; a client that shares no memory has no others.
    /// </summary>
    void SetUnsharedRanges(int count)
    {
    }

    /// <summary>Resets the device. When it returns, no earlier command writes to memory or interrupts. It must not wait for the device's work.</summary>
    void Reset();
}
