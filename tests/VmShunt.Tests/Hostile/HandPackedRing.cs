using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Hostile;

/// <summary>A packed ring (virtio 1.3 §2.8) by hand. A chain's id is the slot of its first descriptor.</summary>
internal sealed class HandPackedRing(TestMemory ram) : HandRing(ram)
{
    internal const DescriptorFlags AvailableBit = (DescriptorFlags)(1 << 7), UsedBit = (DescriptorFlags)(1 << 15);

    private readonly int[] _slots = new int[Size];
    private int _next, _used;
    private bool _wrap = true, _usedWrap = true;

    internal override uint Start => PackedLayout.StartPosition;

    /// <summary>The flags that make a descriptor available now.</summary>
    internal DescriptorFlags Lap => _wrap ? AvailableBit : UsedBit;

    internal override void Clear()
    {
        base.Clear();
        _next = _used = 0;
        _wrap = _usedWrap = true;
    }

    internal override void Offer(params ReadOnlySpan<Piece> chain) => Offer((ushort)_next, chain);

    /// <summary>Makes a chain available under any id.</summary>
    internal void Offer(ushort id, params ReadOnlySpan<Piece> chain)
    {
        if (id < Size) _slots[id] = chain.Length;
        var first = _next;
        var lap = Lap;
        for (var i = 0; i < chain.Length; i++)
        {
            // The first descriptor becomes available last.
            Write(_next, chain[i] with { Flags = chain[i].Flags | (i < chain.Length - 1 ? DescriptorFlags.Next : 0) | (i == 0 ? 0 : Lap) }, id);
            if (++_next < Size) continue;
            _next = 0;
            _wrap = !_wrap;
        }
        var flags = chain[0].Flags | (chain.Length > 1 ? DescriptorFlags.Next : 0) | lap;
        Area(Descriptors).WriteUInt16Release(16 * first + PackedLayout.Flags, (ushort)flags);
    }

    /// <summary>Writes one descriptor, valid or not.</summary>
    internal void Write(int index, Piece piece, ushort id)
    {
        var at = 16 * index;
        Area(Descriptors).Write(at, piece.Address);
        Area(Descriptors).Write(at + 8, piece.Length);
        Area(Descriptors).Write(at + 12, id);
        Area(Descriptors).WriteUInt16Release(at + PackedLayout.Flags, (ushort)piece.Flags);
    }

    internal override bool TryPopUsed(out ushort id, out uint written)
    {
        (id, written) = (0, 0);
        var flags = (DescriptorFlags)Area(Descriptors).ReadUInt16Acquire(16 * _used + PackedLayout.Flags) & (AvailableBit | UsedBit);
        if (flags != (_usedWrap ? AvailableBit | UsedBit : 0)) return false;
        written = Area(Descriptors).Read<uint>(16 * _used + 8);
        id = Area(Descriptors).Read<ushort>(16 * _used + 12);
        _used += id < Size ? _slots[id] : 1;
        if (_used < Size) return true;
        _used -= Size;
        _usedWrap = !_usedWrap;
        return true;
    }

    internal override void Entry(int index, Piece piece, ushort next = 0) => Ram.Window(Table + 16 * (ulong)index, 16)
        .Write(0, new PackedDescriptor { Address = piece.Address, Length = piece.Length, Flags = piece.Flags & ~DescriptorFlags.Next });
}
