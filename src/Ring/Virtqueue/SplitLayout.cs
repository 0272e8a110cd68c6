using System.Runtime.InteropServices;
using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Virtqueue;

/// <summary>Descriptor flags, the same values in split and packed rings (virtio 1.3 §2.7.5, §2.8.1).</summary>
[Flags]
public enum DescriptorFlags : ushort
{
    /// <summary>The chain continues.</summary>
    Next = 1,

    /// <summary>The buffer is device-writable.</summary>
    Write = 2,

    /// <summary>The buffer is a table of descriptors.</summary>
    Indirect = 4,
}

/// <summary>An entry of the split ring's descriptor table, or of an indirect table (<c>struct virtq_desc</c>, virtio 1.3 §2.7.5).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct SplitDescriptor
{
    /// <summary>Guest-physical address.</summary>
    public ulong Address;

    /// <summary>Bytes.</summary>
    public uint Length;

    /// <summary>Direction, chaining, indirection.</summary>
    public DescriptorFlags Flags;

    /// <summary>The next descriptor, with <see cref="DescriptorFlags.Next"/>.</summary>
    public ushort Next;

    /// <summary>The size in memory.</summary>
    public const int Bytes = 16;
}

/// <summary>The sizes and offsets of a split virtqueue's three areas (virtio 1.3 §2.7).</summary>
public static class SplitLayout
{
    /// <summary>The largest queue of the specification.</summary>
    public const int MaxSize = 32768;

    /// <summary>avail.flags: calls are suppressed (VIRTQ_AVAIL_F_NO_INTERRUPT).</summary>
    public const ushort NoInterrupt = 1;

    /// <summary>used.flags: kicks are suppressed (VIRTQ_USED_F_NO_NOTIFY).</summary>
    public const ushort NoNotify = 1;

    /// <summary>Offset of <c>idx</c> in the available and the used ring; <c>flags</c> is at 0.</summary>
    public const int Index = 2;

    /// <summary>Offset of the first ring entry in the available and the used ring.</summary>
    public const int Ring = 4;

    /// <summary>Bytes of the descriptor table.</summary>
    public static int DescriptorBytes(int size) => SplitDescriptor.Bytes * size;

    /// <summary>Bytes of the available ring with <c>used_event</c>.</summary>
    public static int AvailableBytes(int size) => UsedEvent(size) + sizeof(ushort);

    /// <summary>Bytes of the used ring with <c>avail_event</c>.</summary>
    public static int UsedBytes(int size) => AvailableEvent(size) + sizeof(ushort);

    /// <summary>Offset of <c>used_event</c> in the available ring.</summary>
    public static int UsedEvent(int size) => Ring + sizeof(ushort) * size;

    /// <summary>Offset of <c>avail_event</c> in the used ring.</summary>
    public static int AvailableEvent(int size) => Ring + 8 * size;

    /// <summary>Whether a split queue may have this size (virtio 1.3 §2.7: a power of two, at most 32768).</summary>
    public static bool IsValidSize(int size) => size is > 0 and <= MaxSize && (size & (size - 1)) == 0;

    /// <summary>
    /// Whether the step from <paramref name="oldIndex"/> to <paramref name="newIndex"/> passes the peer's
    /// <paramref name="eventIndex"/>, so that it must be notified (virtio 1.3 §2.7.7.2, §2.7.10). A batch advances the index by
    /// more than one, so equality is not enough.
    /// </summary>
    public static bool NeedsEvent(ushort eventIndex, ushort newIndex, ushort oldIndex) =>
        (ushort)(newIndex - eventIndex - 1) < (ushort)(newIndex - oldIndex);
}

/// <summary>The three areas of a split virtqueue as windows into guest memory; the memory must outlive the queue.</summary>
/// <param name="Descriptors">The descriptor table, 16-byte aligned.</param>
/// <param name="Available">The available ring (driver area), 2-byte aligned.</param>
/// <param name="Used">The used ring (device area), 4-byte aligned.</param>
public readonly record struct SplitAreas(MemoryWindow Descriptors, MemoryWindow Available, MemoryWindow Used);
