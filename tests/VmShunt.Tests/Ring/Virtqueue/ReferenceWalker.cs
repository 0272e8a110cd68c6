using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>
/// What a device must make of a chain of descriptors, written to be read and not to be fast: collect the whole chain, then
/// judge it (virtio 1.3 §2.7.4.2, §2.7.5.3, §2.8.5 to §2.8.7).
/// </summary>
internal sealed class ReferenceWalker(TestMemory ram, bool indirect, bool packed)
{
    /// <summary>The chain that starts at an index of the ring, with tables replaced by their entries.</summary>
    /// <param name="ring">The descriptors.</param>
    /// <param name="head">Where the chain starts.</param>
    /// <param name="outer">The chain's descriptors in the ring itself.</param>
    /// <returns>Null when the chain is malformed.</returns>
    internal Link[]? Walk(Link[] ring, int head, out Link[] outer)
    {
        outer = [];
        if ((packed ? Neighbours(ring, head) : Linked(ring, head)) is not { } own) return null;
        outer = own;
        if (packed && own[^1].NextOrId >= ring.Length) return null;
        var chain = new List<Link>();
        foreach (var link in own)
        {
            if (!link.Has(DescriptorFlags.Indirect)) chain.Add(link);
            else if (indirect && !link.Has(DescriptorFlags.Next) && Entries(link) is { } entries) chain.AddRange(entries);
            else return null;
        }
        return chain.Count <= DescriptorChain.MaxSegments && chain.TrueForAll(IsAddressable) && IsInOrder(chain) ? [.. chain] : null;
    }

    // Split: each descriptor names the next; one that is met twice makes a loop.
    private static Link[]? Linked(Link[] table, int head)
    {
        var chain = new List<Link>();
        for (var at = head; at < table.Length && chain.Count < table.Length; at = table[at].NextOrId)
        {
            chain.Add(table[at]);
            if (!table[at].Has(DescriptorFlags.Next)) return [.. chain];
        }
        return null;
    }

    // Packed: the next descriptor is the neighbour.
    private static Link[]? Neighbours(Link[] ring, int head)
    {
        var all = ring.Skip(head).Concat(ring.Take(head)).ToList();
        var last = all.FindIndex(static link => !link.Has(DescriptorFlags.Next));
        return last < 0 ? null : [.. all.Take(last + 1)];
    }

    private Link[]? Entries(Link table)
    {
        var count = table.Length / 16;
        if (table.Length % 16 != 0 || count is 0 or > DescriptorChain.MaxSegments) return null;
        if (table.Address < TestMemory.Start || (UInt128)table.Address + table.Length > ram.End) return null;
        var all = Enumerable.Range(0, (int)count).Select(i => Link.Read(ram, table.Address + 16 * (ulong)i, packed)).ToArray();
        var chain = packed ? all : Linked(all, 0);
        return chain is null || Array.Exists(chain, static link => link.Has(DescriptorFlags.Indirect)) ? null : chain;
    }

    private static bool IsAddressable(Link link) => (UInt128)link.Address + link.Length <= ulong.MaxValue;

    private static bool IsInOrder(List<Link> chain) =>
        !chain.SkipWhile(static link => !link.Has(DescriptorFlags.Write)).Any(static link => !link.Has(DescriptorFlags.Write));
}
