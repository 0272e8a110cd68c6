using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Hostile;

/// <summary>A split ring (virtio 1.3 §2.7) by hand.</summary>
internal sealed class HandSplitRing(TestMemory ram) : HandRing(ram)
{
    private ushort _slot, _available, _used;

    internal override uint Start => 0;

    internal override void Clear()
    {
        base.Clear();
        _slot = _available = _used = 0;
    }

    /// <summary>Sets both indices, as if this many requests had completed.</summary>
    internal void StartAt(ushort index)
    {
        SetAvailable(_used = index);
        Area(Device).WriteUInt16Release(SplitLayout.Index, index);
    }

    internal override void Offer(params ReadOnlySpan<Piece> chain)
    {
        var head = _slot;
        for (var i = 0; i < chain.Length; i++)
        {
            var next = (ushort)((_slot + 1) % Size);
            Write(_slot, chain[i] with { Flags = chain[i].Flags | (i < chain.Length - 1 ? DescriptorFlags.Next : 0) }, next);
            _slot = next;
        }
        OfferHead(head);
    }

    /// <summary>Writes one descriptor, valid or not.</summary>
    internal void Write(int index, Piece piece, ushort next) => Ram.Window(Descriptors + 16 * (ulong)index, 16)
        .Write(0, new SplitDescriptor { Address = piece.Address, Length = piece.Length, Flags = piece.Flags, Next = next });

    /// <summary>Makes a head available, valid or not.</summary>
    internal void OfferHead(ushort head)
    {
        Area(Driver).Write(SplitLayout.Ring + 2 * (_available % Size), head);
        SetAvailable((ushort)(_available + 1));
    }

    internal void SetAvailable(ushort index) => Area(Driver).WriteUInt16Release(SplitLayout.Index, _available = index);

    internal override bool TryPopUsed(out ushort id, out uint written)
    {
        (id, written) = (0, 0);
        if (Area(Device).ReadUInt16Acquire(SplitLayout.Index) == _used) return false;
        var element = Area(Device).Read<ulong>(SplitLayout.Ring + 8 * (_used++ % Size));
        (id, written) = ((ushort)element, (uint)(element >> 32));
        return true;
    }

    internal override void Entry(int index, Piece piece, ushort next = 0) => Ram.Window(Table + 16 * (ulong)index, 16)
        .Write(0, new SplitDescriptor { Address = piece.Address, Length = piece.Length, Flags = piece.Flags, Next = next });
}
