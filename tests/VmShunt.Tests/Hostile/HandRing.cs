using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Hostile;

/// <summary>One descriptor. The ring adds NEXT where a chain continues.</summary>
public readonly record struct Piece(ulong Address, uint Length, DescriptorFlags Flags = 0);

/// <summary>
/// The driver's end of a ring of sixteen entries that a test writes by hand, valid or not, in either layout. Chains occupy
/// consecutive entries.
/// </summary>
internal abstract class HandRing(TestMemory ram)
{
    internal const int Size = 16;

    /// <summary>The ring's areas.</summary>
    internal const ulong Descriptors = TestMemory.Start, Driver = Descriptors + 0x1000, Device = Descriptors + 0x2000;

    /// <summary>The address of indirect tables, with room for more entries than a table may have.</summary>
    internal const ulong Table = TestMemory.Start + 0x1_0000;

    internal static HandRing Create(TestMemory ram, bool packed) => packed ? new HandPackedRing(ram) : new HandSplitRing(ram);

    /// <summary>The position at which a device starts.</summary>
    internal abstract uint Start { get; }

    /// <summary>Clears the ring.</summary>
    internal virtual void Clear() => Ram.Span(Descriptors, 0x3000).Clear();

    /// <summary>Makes a chain available.</summary>
    internal abstract void Offer(params ReadOnlySpan<Piece> chain);

    /// <summary>Pops the next returned chain.</summary>
    internal abstract bool TryPopUsed(out ushort id, out uint written);

    /// <summary>Writes one entry of an indirect table.</summary>
    internal abstract void Entry(int index, Piece piece, ushort next = 0);

    /// <summary>Writes a table of consecutive entries.</summary>
    internal Piece Indirect(params ReadOnlySpan<Piece> chain)
    {
        for (var i = 0; i < chain.Length; i++) Entry(i, chain[i] with { Flags = chain[i].Flags | (i < chain.Length - 1 ? DescriptorFlags.Next : 0) }, (ushort)(i + 1));
        return new Piece(Table, (uint)(16 * chain.Length), DescriptorFlags.Indirect);
    }

    protected TestMemory Ram { get; } = ram;

    protected MemoryWindow Area(ulong address) => Ram.Window(address, 0x1000);
}
