using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>
/// A chain leaves the record of chains in flight after the driver can see it as used. In the other order, a process that
/// died in between would lose the request. A second thread looks at the record, then at the ring.
/// </summary>
[Collection(nameof(TwoCores))]
public sealed class InflightOrderTests
{
    private const int Size = 16, Rounds = 5_000;

    [Fact]
    public void A_chain_of_a_split_ring_stays_in_the_record_until_the_used_index_covers_it() => Watch<SplitRing, SplitDriverQueue, SplitDeviceQueue>(
        static (ram, record) => new(ram.Memory, SplitRing.Areas(ram, Size), Size, 0, false, eventIndex: true, record),
        SplitDeviceQueue.InflightBytes(Size), firstEntry: 16,
        static (ram, round) => SplitRing.Areas(ram, Size).Used.ReadUInt16Acquire(SplitLayout.Index) == (ushort)round);

    [Fact]
    public void A_chain_of_a_packed_ring_stays_in_the_record_until_its_descriptor_is_used() => Watch<PackedRing, PackedDriverQueue, PackedDeviceQueue>(
        static (ram, record) => new(ram.Memory, PackedRing.Areas(ram, Size), Size, PackedLayout.StartPosition, false, eventIndex: true, record),
        PackedDeviceQueue.InflightBytes(Size), firstEntry: 32,
        static (ram, round) =>
        {
            // Used: AVAIL and USED are both the wrap counter, which is 1 in the first lap.
            var flags = PackedRing.Areas(ram, Size).Descriptors.ReadUInt16Acquire((16 * ((round - 1) % Size)) + PackedLayout.Flags);
            return (flags & 0x8080) == ((round - 1) / Size % 2 == 0 ? 0x8080 : 0);
        });

    private static void Watch<TKind, TDriver, TDevice>(
        Func<TestMemory, MemoryWindow, TDevice> attach, int recordBytes, int firstEntry, Func<TestMemory, int, bool> isUsed)
        where TKind : IRingKind<TDriver, TDevice>
        where TDriver : struct, IDriverQueue
        where TDevice : struct, IDeviceQueue
    {
        using var pair = new QueuePair<TKind, TDriver, TDevice>(new QueueOptions(Size, Indirect: false, EventIndex: true));
        using var memory = new TestMemory(recordBytes);
        var record = memory.Window(TestMemory.Start, recordBytes);
        pair.Device = attach(pair.Ram, record);
        SharedCounter deviceAt = new(), watcherAt = new();
        int early = 0, unrecorded = 0;
        var watcher = new Thread(() =>
        {
            for (var round = 1; round <= Rounds; round++)
            {
                watcherAt.Meet(deviceAt, 3 * round);
                // With one chain in flight at a time, it is the record's first entry.
                if ((byte)record.ReadUInt16Acquire(firstEntry) == 0) unrecorded++;
                // Both lines are in this processor's cache before the device writes them.
                _ = isUsed(pair.Ram, round);
                watcherAt.Meet(deviceAt, 3 * round + 1);
                var polls = 0;
                while ((byte)record.ReadUInt16Acquire(firstEntry) != 0)
                {
                    // The device may need this core.
                    if (++polls % 2_000 == 0) Thread.Yield();
                }
                if (!isUsed(pair.Ram, round)) early++;
                watcherAt.Meet(deviceAt, 3 * round + 2);
            }
        })
        { IsBackground = true };
        watcher.Start();
        for (var round = 1; round <= Rounds; round++)
        {
            Assert.True(pair.Add(1));
            pair.Driver.Publish();
            var handle = pair.Pop(1);
            deviceAt.Meet(watcherAt, 3 * round);
            deviceAt.Meet(watcherAt, 3 * round + 1);
            pair.Device.Return(handle, 1);
            pair.Device.Publish();
            deviceAt.Meet(watcherAt, 3 * round + 2);
            pair.PopUsed(1, 1);
        }
        watcher.Join();
        Assert.Equal((0, 0), (early, unrecorded));
    }
}
