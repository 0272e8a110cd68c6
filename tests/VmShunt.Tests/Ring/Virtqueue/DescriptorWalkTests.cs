using CsCheck;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>Random and hostile descriptor tables: the device pops exactly the chains that a <see cref="ReferenceWalker"/> accepts.</summary>
public class DescriptorWalkTests
{
    private const int Size = 8, Iterations = 2500;

    private static readonly Gen<ushort> s_head = Gen.Frequency<ushort>((15, Gen.UShort[0, Size - 1]), (1, Gen.UShort));
    private static readonly Gen<ushort> s_index = Gen.Frequency<ushort>((9, Gen.UShort[0, Size]), (1, Gen.UShort));

    // Most descriptors of a packed ring are available in its first lap, some in its second.
    private static readonly Gen<DescriptorFlags> s_lap = Gen.Frequency<DescriptorFlags>(
        (8, Gen.Const(PackedLayout.Available)), (2, Gen.Const(PackedLayout.Used)),
        (1, Gen.Const((DescriptorFlags)0)), (1, Gen.Const(PackedLayout.Available | PackedLayout.Used)));

    private int _popped, _broken;

    [Fact]
    public void A_split_device_pops_the_chains_of_the_reference_walker()
    {
        Gen.Select(Gen.Bool, Link.Many(Size), Link.Many(Link.TableEntries), s_head.Array[Size], s_index).Sample(
            (indirect, ring, table, heads, index) =>
            {
                using var scribbled = new ScribbledSplitRing(indirect);
                Write(scribbled.Ram, TestMemory.Start, ring, packed: false);
                Write(scribbled.Ram, Link.Table, table, packed: false);
                for (var i = 0; i < Size; i++) scribbled.Available.Write(SplitLayout.Ring + 2 * i, heads[i]);
                scribbled.SetAvailable(index);
                var walker = new ReferenceWalker(scribbled.Ram, indirect, packed: false);
                for (var popped = 0; popped <= Size; popped++)
                {
                    var found = scribbled.Pop();
                    var expected = index > Size || popped == index ? null : walker.Walk(ring, heads[popped], out _);
                    Assert.Equal(expected is not null ? PopResult.Popped : popped == index ? PopResult.Empty : PopResult.Broken, found);
                    if (!Matches(found, expected, scribbled.Chain)) return;
                    Assert.Equal(new ChainHandle(heads[popped], 1), scribbled.Chain.Handle);
                    scribbled.Device.Return(scribbled.Chain.Handle, 1);
                    scribbled.Device.Publish();
                }
            },
            iter: Iterations);
        Assert.True(_popped > 0 && _broken > 0, $"{_popped} chains popped, {_broken} rings broken");
    }

    [Fact]
    public void A_packed_device_pops_the_chains_of_the_reference_walker()
    {
        Gen.Select(Gen.Bool, Link.Many(Size), Link.Many(Link.TableEntries), s_lap.Array[Size], Gen.Bool).Sample(
            (indirect, links, table, laps, eventIndex) =>
            {
                const DescriptorFlags lapFlags = PackedLayout.Available | PackedLayout.Used;
                using var ram = new TestMemory(0x2_0000);
                var ring = links.Select((link, i) => link with { Flags = link.Flags & ~lapFlags | laps[i] }).ToArray();
                Write(ram, TestMemory.Start, ring, packed: true);
                Write(ram, Link.Table, table, packed: true);
                var device = PackedRing.CreateDevice(ram, new QueueOptions(Size, indirect, eventIndex), PackedLayout.StartPosition);
                var walker = new ReferenceWalker(ram, indirect, packed: true);
                var chain = new DescriptorChain();
                // Nothing is returned, so the ring stays as it is, and the device walks it again in its next lap.
                for (int at = 0, pops = 0; pops < 3 * Size; pops++)
                {
                    var found = device.TryPop(chain);
                    var available = laps[at % Size] == (at / Size % 2 == 0 ? PackedLayout.Available : PackedLayout.Used);
                    Link[] outer = [];
                    var expected = available ? walker.Walk(ring, at % Size, out outer) : null;
                    Assert.Equal(expected is not null ? PopResult.Popped : available ? PopResult.Broken : PopResult.Empty, found);
                    if (!Matches(found, expected, chain)) return;
                    Assert.Equal(new ChainHandle(outer[^1].NextOrId, (ushort)outer.Length), chain.Handle);
                    at += outer.Length;
                }
            },
            iter: Iterations);
        Assert.True(_popped > 0 && _broken > 0, $"{_popped} chains popped, {_broken} rings broken");
    }

    private static void Write(TestMemory ram, ulong at, Link[] links, bool packed)
    {
        for (var i = 0; i < links.Length; i++) links[i].Write(ram, at + 16 * (ulong)i, packed);
    }

    private bool Matches(PopResult found, Link[]? expected, DescriptorChain chain)
    {
        if (found == PopResult.Broken) Interlocked.Increment(ref _broken);
        if (expected is null) return false;
        Interlocked.Increment(ref _popped);
        Assert.Equal(expected.Select(static link => new DescriptorChain.Segment(link.Address, link.Length)), [.. chain.Readable, .. chain.Writable]);
        Assert.Equal(expected.Count(static link => !link.Has(DescriptorFlags.Write)), chain.ReadableCount);
        return true;
    }
}
