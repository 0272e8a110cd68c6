using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>The packed ring, at the start of the memory: descriptors, driver event area, device event area.</summary>
public sealed class PackedRing : IRingKind<PackedDriverQueue, PackedDeviceQueue>
{
    private PackedRing()
    {
    }

    public static int[] Sizes => [1, 2, 3, 5, 8, 16, 64, 100, 256];

    public static uint StartPosition => PackedLayout.StartPosition;

    public static int DirectRequests(int size) => 0;

    public static int RingBytes(int size) => PackedLayout.DescriptorBytes(size) + 2 * PackedLayout.EventBytes;

    public static PackedDriverQueue CreateDriver(TestMemory ram, QueueOptions options, MemoryWindow tables, ulong tablesAddress) =>
        new(Areas(ram, options.Size), options.Size, options.EventIndex, tables, tablesAddress);

    public static PackedDeviceQueue CreateDevice(TestMemory ram, QueueOptions options, uint position) =>
        new(ram.Memory, Areas(ram, options.Size), options.Size, position, options.Indirect, options.EventIndex);

    public static PackedAreas Areas(TestMemory ram, int size)
    {
        ArgumentNullException.ThrowIfNull(ram);
        var events = TestMemory.Start + (ulong)PackedLayout.DescriptorBytes(size);
        return new PackedAreas(
            ram.Window(TestMemory.Start, PackedLayout.DescriptorBytes(size)),
            ram.Window(events, PackedLayout.EventBytes),
            ram.Window(events + PackedLayout.EventBytes, PackedLayout.EventBytes));
    }
}
