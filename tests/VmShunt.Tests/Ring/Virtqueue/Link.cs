using CsCheck;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>One descriptor as a random driver writes it, in either layout.</summary>
public readonly record struct Link(ulong Address, uint Length, DescriptorFlags Flags, ushort NextOrId)
{
    /// <summary>Entries that a walker test writes into the memory that indirect descriptors name; zeros follow them.</summary>
    internal const int TableEntries = 8;

    internal const ulong Table = ScribbledSplitRing.Table;

    // Stands for the index after the link's own.
    private const ushort Following = 0x7fff;

    private static readonly Gen<ulong> s_address = Gen.Frequency<ulong>(
        (8, Gen.ULong[TestMemory.Start, TestMemory.Start + 0xffff]),
        (8, Gen.ULong[0, TableEntries - 1].Select(static entry => Table + 16 * entry)),
        (1, Gen.ULong[0, 64].Select(static below => ulong.MaxValue - below)),
        (1, Gen.ULong[0, 64].Select(static below => TestMemory.Start + 0x2_0000 - below)),
        (1, Gen.ULong));

    private static readonly Gen<uint> s_length = Gen.Frequency<uint>(
        (12, Gen.UInt[1, TableEntries].Select(static entries => 16 * entries)),
        (2, Gen.UInt[0, 100]),
        (1, Gen.UInt[1023, 1026].Select(static entries => 16 * entries)),
        (1, Gen.UInt));

    private static readonly Gen<DescriptorFlags> s_flags = Gen.Frequency<DescriptorFlags>(
        (6, Gen.Const(DescriptorFlags.Next)), (3, Gen.Const((DescriptorFlags)0)), (4, Gen.Const(DescriptorFlags.Write)),
        (4, Gen.Const(DescriptorFlags.Write | DescriptorFlags.Next)), (3, Gen.Const(DescriptorFlags.Indirect)),
        (1, Gen.UShort.Select(static flags => (DescriptorFlags)flags)));

    private static readonly Gen<ushort> s_nextOrId = Gen.Frequency<ushort>((8, Gen.Const(Following)), (4, Gen.UShort[0, 7]), (1, Gen.UShort));

    /// <summary>As many links as asked for: most make sense, alone and together, and some do not.</summary>
    internal static Gen<Link[]> Many(int count) =>
        Gen.Select(s_address, s_length, s_flags, s_nextOrId, static (address, length, flags, nextOrId) => new Link(address, length, flags, nextOrId))
            .Array[count].Select(static links => links.Select(static (link, i) => link.NextOrId == Following ? link with { NextOrId = (ushort)(i + 1) } : link).ToArray());

    internal bool Has(DescriptorFlags flag) => (Flags & flag) != 0;

    /// <summary>Both layouts have address, length and two words of 16 bits; only the order of those differs.</summary>
    internal void Write(TestMemory ram, ulong at, bool packed)
    {
        if (packed) Assert.True(ram.Memory.TryWrite(at, new PackedDescriptor { Address = Address, Length = Length, Flags = Flags, Id = NextOrId }));
        else Assert.True(ram.Memory.TryWrite(at, new SplitDescriptor { Address = Address, Length = Length, Flags = Flags, Next = NextOrId }));
    }

    internal static Link Read(TestMemory ram, ulong at, bool packed)
    {
        if (packed)
        {
            Assert.True(ram.Memory.TryRead<PackedDescriptor>(at, out var descriptor));
            return new Link(descriptor.Address, descriptor.Length, descriptor.Flags, descriptor.Id);
        }
        Assert.True(ram.Memory.TryRead<SplitDescriptor>(at, out var split));
        return new Link(split.Address, split.Length, split.Flags, split.Next);
    }
}
