using System.Runtime.CompilerServices;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>
/// A chain leaves the record of chains in flight after the driver can see it as used. In the other order, a process that
/// died in between would lose the request. Here the device dies at the store that publishes: the window of the ring ends
/// before it.
/// </summary>
public sealed class InflightOrderTests
{
    private const int Size = 16;

    [Fact]
    public void A_chain_of_a_split_ring_stays_in_the_record_until_the_used_index_covers_it()
    {
        using var pair = new QueuePair<SplitRing, SplitDriverQueue, SplitDeviceQueue>(new QueueOptions(Size, Indirect: false, EventIndex: true));
        using var memory = new TestMemory(SplitDeviceQueue.InflightBytes(Size));
        pair.Device = Attach();
        var handle = PopOne(pair);
        pair.Device.Return(handle, 1);
        ref var areas = ref AreasOf(ref pair.Device);
        areas = areas with { Used = pair.Ram.Window(UsedRing(pair.Ram), SplitLayout.Index) };
        Assert.Throws<ArgumentOutOfRangeException>(() => pair.Device.Publish());

        pair.Device = Attach();
        AssertPoppedAgain(pair);

        SplitDeviceQueue Attach() => new(
            pair.Ram.Memory, SplitRing.Areas(pair.Ram, Size), Size, 0, false, eventIndex: true, memory.Window(TestMemory.Start, memory.Bytes));

        static ulong UsedRing(TestMemory ram) => TestMemory.Start + (ulong)(SplitRing.RingBytes(Size) - SplitLayout.UsedBytes(Size));
    }

    [Fact]
    public void A_chain_of_a_packed_ring_stays_in_the_record_until_its_descriptor_is_used()
    {
        using var pair = new QueuePair<PackedRing, PackedDriverQueue, PackedDeviceQueue>(new QueueOptions(Size, Indirect: false, EventIndex: true));
        using var memory = new TestMemory(PackedDeviceQueue.InflightBytes(Size));
        pair.Device = Attach();
        var handle = PopOne(pair);
        ref var areas = ref AreasOf(ref pair.Device);
        areas = areas with { Descriptors = pair.Ram.Window(TestMemory.Start, PackedLayout.Rest) };
        Assert.Throws<ArgumentOutOfRangeException>(() => pair.Device.Return(handle, 1));

        pair.Device = Attach();
        AssertPoppedAgain(pair);

        PackedDeviceQueue Attach() => new(
            pair.Ram.Memory, PackedRing.Areas(pair.Ram, Size), Size, PackedLayout.StartPosition, false, eventIndex: true, memory.Window(TestMemory.Start, memory.Bytes));
    }

    private static ChainHandle PopOne<TKind, TDriver, TDevice>(QueuePair<TKind, TDriver, TDevice> pair)
        where TKind : IRingKind<TDriver, TDevice>
        where TDriver : struct, IDriverQueue
        where TDevice : struct, IDeviceQueue
    {
        Assert.True(pair.Add(7));
        pair.Driver.Publish();
        return pair.Pop(7);
    }

    private static void AssertPoppedAgain<TKind, TDriver, TDevice>(QueuePair<TKind, TDriver, TDevice> pair)
        where TKind : IRingKind<TDriver, TDevice>
        where TDriver : struct, IDriverQueue
        where TDevice : struct, IDeviceQueue
    {
        Assert.Equal(PopResult.Empty, pair.Driver.TryPopUsed(out _, out _));
        Assert.True(pair.Device.HasPending, "the record forgot a chain that the driver does not see as used");
        pair.Device.Return(pair.Pop(7), 1);
        pair.Device.Publish();
        pair.PopUsed(7, 1);
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_areas")]
    private static extern ref SplitAreas AreasOf(ref SplitDeviceQueue queue);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_areas")]
    private static extern ref PackedAreas AreasOf(ref PackedDeviceQueue queue);
}
