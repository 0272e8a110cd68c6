using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>The packed ring, at the start of the memory: descriptors, driver event area, device event area.</summary>
public sealed class PackedRing : IRingKind<PackedDriverQueue, PackedDeviceQueue>
{
    private PackedRing()
    {
    }

    public static uint StartPosition => PackedLayout.StartPosition;

    public static int DirectRequests(int size) => 0;

    public static int RingBytes(int size) => PackedLayout.DescriptorBytes(size) + 2 * PackedLayout.EventBytes;

    public static PackedDriverQueue CreateDriver(GuestRam ram, QueueOptions options, MemoryWindow tables, ulong tablesAddress) =>
        new(Areas(ram, options.Size), options.Size, options.EventIndex, tables, tablesAddress);

    public static PackedDeviceQueue CreateDevice(GuestRam ram, QueueOptions options, uint position) =>
        new(ram.Memory, Areas(ram, options.Size), options.Size, position, options.Indirect, options.EventIndex);

    public static PackedAreas Areas(GuestRam ram, int size)
    {
        ArgumentNullException.ThrowIfNull(ram);
        var events = GuestRam.Start + (ulong)PackedLayout.DescriptorBytes(size);
        return new PackedAreas(
            ram.Window(GuestRam.Start, PackedLayout.DescriptorBytes(size)),
            ram.Window(events, PackedLayout.EventBytes),
            ram.Window(events + PackedLayout.EventBytes, PackedLayout.EventBytes));
    }
}
