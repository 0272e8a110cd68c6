using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>The split ring, at the start of the memory: descriptor table, available ring, used ring.</summary>
public sealed class SplitRing : IRingKind<SplitDriverQueue, SplitDeviceQueue>
{
    private SplitRing()
    {
    }

    public static int[] Sizes => [1, 2, 4, 8, 16, 64, 256];

    public static uint StartPosition => 0;

    public static int DirectRequests(int size) => size < 64 ? 0 : 8;

    public static int RingBytes(int size) => UsedOffset(size) + SplitLayout.UsedBytes(size);

    public static SplitDriverQueue CreateDriver(TestMemory ram, QueueOptions options, MemoryWindow tables, ulong tablesAddress) =>
        new(Areas(ram, options.Size), options.Size, options.EventIndex, tables, tablesAddress);

    public static SplitDeviceQueue CreateDevice(TestMemory ram, QueueOptions options, uint position) =>
        new(ram.Memory, Areas(ram, options.Size), options.Size, (ushort)position, options.Indirect, options.EventIndex);

    public static SplitAreas Areas(TestMemory ram, int size)
    {
        ArgumentNullException.ThrowIfNull(ram);
        return new SplitAreas(
            ram.Window(TestMemory.Start, SplitLayout.DescriptorBytes(size)),
            ram.Window(TestMemory.Start + (ulong)SplitLayout.DescriptorBytes(size), SplitLayout.AvailableBytes(size)),
            ram.Window(TestMemory.Start + (ulong)UsedOffset(size), SplitLayout.UsedBytes(size)));
    }

    private static int UsedOffset(int size) => (SplitLayout.DescriptorBytes(size) + SplitLayout.AvailableBytes(size) + 3) & ~3;
}
