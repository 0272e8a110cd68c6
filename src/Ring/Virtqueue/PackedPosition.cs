using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Virtqueue;

/// <summary>A position in a packed ring: an entry and the wrap counter (virtio 1.3 §2.8.1).</summary>
internal struct PackedPosition
{
    private readonly int _size;

    /// <param name="size">Entries of the ring.</param>
    /// <param name="word">The index in bits 0 to 14, the wrap counter in bit 15; an index outside the ring becomes 0.</param>
    internal PackedPosition(int size, ushort word)
    {
        _size = size;
        Index = word & (PackedLayout.WrapBit - 1);
        if (Index >= size) Index = 0;
        Wrap = (word & PackedLayout.WrapBit) != 0;
    }

    internal int Index { get; private set; }

    internal bool Wrap { get; private set; }

    internal readonly ushort Word => (ushort)(Index | (Wrap ? PackedLayout.WrapBit : 0));

    internal readonly int Offset => PackedDescriptor.Bytes * Index;

    /// <summary>The flags that make an entry of this lap available.</summary>
    internal readonly DescriptorFlags AvailableFlags => Wrap ? PackedLayout.Available : PackedLayout.Used;

    /// <summary>The flags that make an entry of this lap used.</summary>
    internal readonly DescriptorFlags UsedFlags => Wrap ? PackedLayout.Available | PackedLayout.Used : 0;

    internal readonly bool IsAvailable(DescriptorFlags flags) => (flags & (PackedLayout.Available | PackedLayout.Used)) == AvailableFlags;

    internal readonly bool IsUsed(DescriptorFlags flags) => (flags & (PackedLayout.Available | PackedLayout.Used)) == UsedFlags;

    /// <summary>
    /// Whether a ring has entries from this position to its end that are used in this lap: the device has been there, so a later
    /// device that starts here waits for entries that never become available.
    /// </summary>
    internal readonly bool IsBehind(MemoryWindow ring)
    {
        for (var index = Index; index < _size; index++)
        {
            if (IsUsed((DescriptorFlags)ring.ReadUInt16Acquire(PackedDescriptor.Bytes * index + PackedLayout.Flags))) return true;
        }
        return false;
    }

    /// <param name="slots">At most the ring's size.</param>
    internal void Advance(int slots)
    {
        Index += slots;
        if (Index < _size) return;
        Index -= _size;
        Wrap = !Wrap;
    }
}
