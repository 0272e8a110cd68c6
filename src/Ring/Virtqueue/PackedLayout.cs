using System.Runtime.InteropServices;
using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Virtqueue;

/// <summary>An entry of the packed ring, or of its indirect tables (<c>struct pvirtq_desc</c>, virtio 1.3 §2.8.13).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct PackedDescriptor
{
    /// <summary>Guest-physical address.</summary>
    public ulong Address;

    /// <summary>Bytes; in a used descriptor, the bytes written.</summary>
    public uint Length;

    /// <summary>The buffer id, in the last descriptor of a chain and in the used descriptor.</summary>
    public ushort Id;

    /// <summary>Direction, chaining, indirection, and the AVAIL and USED bits.</summary>
    public DescriptorFlags Flags;

    /// <summary>The size in memory.</summary>
    public const int Bytes = 16;
}

/// <summary>The flags and areas of a packed virtqueue (virtio 1.3 §2.8).</summary>
public static class PackedLayout
{
    /// <summary>The largest queue of the specification.</summary>
    public const int MaxSize = 32768;

    /// <summary>Offset of a descriptor's flags.</summary>
    public const int Flags = 14;

    /// <summary>Offset of length, id and flags, which are written with one store.</summary>
    internal const int Rest = 8;

    /// <summary>Bytes of an event suppression area (<c>struct pvirtq_event_suppress</c>, virtio 1.3 §2.8.14).</summary>
    public const int EventBytes = 4;

    /// <summary>The position of a new ring: entry 0, wrap counters 1 (vhost-user, "Vring descriptor indices for packed virtqueues").</summary>
    public const uint StartPosition = (uint)FirstLap << 16 | FirstLap;

    /// <summary>The bit beside an index that holds its wrap counter.</summary>
    internal const ushort WrapBit = 1 << 15;

    /// <summary>The flags that mark available and used descriptors (virtio 1.3 §2.8.1).</summary>
    internal const DescriptorFlags Available = (DescriptorFlags)(1 << 7), Used = (DescriptorFlags)(1 << 15);

    /// <summary>Entry 0, wrap counter 1.</summary>
    internal const ushort FirstLap = WrapBit;

    /// <summary>The second half of a descriptor.</summary>
    internal static ulong RestOf(uint length, ushort id, DescriptorFlags flags) => length | (ulong)id << 32 | (ulong)flags << 48;

    /// <summary>Bytes of the descriptor ring.</summary>
    public static int DescriptorBytes(int size) => PackedDescriptor.Bytes * size;

    /// <summary>Whether a packed queue may have this size: it need not be a power of two.</summary>
    public static bool IsValidSize(int size) => size is > 0 and <= MaxSize;
}

/// <summary>The three areas of a packed virtqueue as windows into guest memory; the memory must outlive the queue.</summary>
/// <param name="Descriptors">The descriptor ring, 16-byte aligned.</param>
/// <param name="Driver">The driver's event suppression area, 4-byte aligned.</param>
/// <param name="Device">The device's event suppression area, 4-byte aligned.</param>
public readonly record struct PackedAreas(MemoryWindow Descriptors, MemoryWindow Driver, MemoryWindow Device);
