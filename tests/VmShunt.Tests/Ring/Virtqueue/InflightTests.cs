using CsCheck;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>
/// A device whose process dies at any moment leaves its requests to the next one: each is processed at least once, none
/// completes twice, and none is lost (vhost-user, "Inflight I/O tracking").
/// </summary>
public sealed class InflightTests
{
    private const int Size = 16;

    private static readonly Func<TestMemory, MemoryWindow, bool, SplitDeviceQueue> s_split = static (ram, inflight, indirect) =>
        new(ram.Memory, SplitRing.Areas(ram, Size), Size, 0, indirect, eventIndex: true, inflight);

    // The front-end sends the base that the driver has seen used; the record knows better.
    private static readonly Func<TestMemory, MemoryWindow, bool, PackedDeviceQueue> s_packed = static (ram, inflight, indirect) =>
        new(ram.Memory, PackedRing.Areas(ram, Size), Size, PackedLayout.StartPosition, indirect, eventIndex: true, inflight);

    private int _completed, _deaths, _unpopped, _resumed;

    [Fact]
    public void No_request_of_a_split_ring_is_lost_or_completed_twice() =>
        DieAndContinue<SplitRing, SplitDriverQueue, SplitDeviceQueue>(s_split, SplitDeviceQueue.InflightBytes(Size));

    [Fact]
    public void No_request_of_a_packed_ring_is_lost_or_completed_twice() =>
        DieAndContinue<PackedRing, PackedDriverQueue, PackedDeviceQueue>(s_packed, PackedDeviceQueue.InflightBytes(Size));

    [Fact]
    public void Requests_in_flight_are_popped_again_in_their_order()
    {
        ResumeInOrder<SplitRing, SplitDriverQueue, SplitDeviceQueue>(s_split, SplitDeviceQueue.InflightBytes(Size));
        ResumeInOrder<PackedRing, PackedDriverQueue, PackedDeviceQueue>(s_packed, PackedDeviceQueue.InflightBytes(Size));
    }

    [Fact]
    public void A_chain_that_was_returned_just_before_the_death_is_not_popped_again()
    {
        // Split: the process dies after the write of the used index, so the record is still the one from before.
        DieInReturn<SplitRing, SplitDriverQueue, SplitDeviceQueue>(s_split, SplitDeviceQueue.InflightBytes(Size), static (before, record) => before.CopyTo(record));
        // Packed: after the write of the used descriptor. The free list and the used index are recorded; the old ones and the flag are not.
        DieInReturn<PackedRing, PackedDriverQueue, PackedDeviceQueue>(s_packed, PackedDeviceQueue.InflightBytes(Size), static (before, record) =>
        {
            before.AsSpan(14, 2).CopyTo(record[14..]);
            before.AsSpan(18, 2).CopyTo(record[18..]);
            for (var at = 32; at < record.Length; at += 32) record[at] = before[at];
        });
    }

    [Fact]
    public void A_hostile_record_breaks_a_split_ring_at_worst() =>
        Scribble<SplitRing, SplitDriverQueue, SplitDeviceQueue>(s_split, SplitDeviceQueue.InflightBytes(Size));

    [Fact]
    public void A_hostile_record_breaks_a_packed_ring_at_worst() =>
        Scribble<PackedRing, PackedDriverQueue, PackedDeviceQueue>(s_packed, PackedDeviceQueue.InflightBytes(Size));

    private void DieAndContinue<TKind, TDriver, TDevice>(Func<TestMemory, MemoryWindow, bool, TDevice> attach, int recordBytes)
        where TKind : IRingKind<TDriver, TDevice>
        where TDriver : struct, IDriverQueue
        where TDevice : struct, IDeviceQueue
    {
        Gen.Select(Gen.Bool, InflightStep.Walk).Sample(
            (indirect, steps) =>
            {
                using var model = new InflightModel<TKind, TDriver, TDevice>(new QueueOptions(Size, indirect, EventIndex: true), recordBytes, attach);
                model.Run(steps);
                Interlocked.Add(ref _completed, model.Completed);
                Interlocked.Add(ref _deaths, model.Deaths);
                Interlocked.Add(ref _unpopped, model.Unpopped);
            },
            iter: 800,
            print: static walk => $"indirect {walk.Item1}{string.Concat(walk.Item2.Select(static step => $"\n  {step}"))}");
        Assert.True(_completed >= 1000 && _deaths >= 100 && _unpopped >= 10, $"{_completed} completed, {_deaths} deaths, {_unpopped} un-popped");
    }

    private static void ResumeInOrder<TKind, TDriver, TDevice>(Func<TestMemory, MemoryWindow, bool, TDevice> attach, int recordBytes)
        where TKind : IRingKind<TDriver, TDevice>
        where TDriver : struct, IDriverQueue
        where TDevice : struct, IDeviceQueue
    {
        using var pair = new QueuePair<TKind, TDriver, TDevice>(new QueueOptions(Size, Indirect: false, EventIndex: true));
        using var record = new TestMemory(recordBytes);
        pair.Device = attach(pair.Ram, record.Window(TestMemory.Start, recordBytes), false);
        for (ushort token = 0; token < 6; token++) Assert.True(pair.Add(token));
        pair.Driver.Publish();
        var handles = Enumerable.Range(0, 5).Select(token => pair.Pop((ushort)token)).ToArray();
        // Out of order, so that the oldest request in flight is not the last one returned.
        foreach (var token in (int[])[3, 1]) pair.Device.Return(handles[token], 0);
        pair.Device.Publish();
        pair.Device = attach(pair.Ram, record.Window(TestMemory.Start, recordBytes), false);
        foreach (var token in (ushort[])[0, 2, 4])
        {
            Assert.True(pair.Device.HasPending);
            pair.Pop(token);
        }
        Assert.False(pair.Device.HasPending);
        pair.Pop(5);
    }

    private delegate void Rewind(byte[] before, Span<byte> record);

    private static void DieInReturn<TKind, TDriver, TDevice>(Func<TestMemory, MemoryWindow, bool, TDevice> attach, int recordBytes, Rewind rewind)
        where TKind : IRingKind<TDriver, TDevice>
        where TDriver : struct, IDriverQueue
        where TDevice : struct, IDeviceQueue
    {
        using var pair = new QueuePair<TKind, TDriver, TDevice>(new QueueOptions(Size, Indirect: false, EventIndex: true));
        using var record = new TestMemory(recordBytes);
        pair.Device = attach(pair.Ram, record.Window(TestMemory.Start, recordBytes), false);
        for (ushort token = 0; token < 3; token++) Assert.True(pair.Add(token));
        pair.Driver.Publish();
        var first = pair.Pop(0);
        pair.Pop(1);
        var before = record.Span(TestMemory.Start, recordBytes).ToArray();
        pair.Device.Return(first, 1);
        pair.Device.Publish();
        rewind(before, record.Span(TestMemory.Start, recordBytes));
        pair.Device = attach(pair.Ram, record.Window(TestMemory.Start, recordBytes), false);
        pair.PopUsed(0, 1);
        pair.Device.Return(pair.Pop(1), 2);
        Assert.False(pair.Device.HasPending);
        pair.Device.Return(pair.Pop(2), 3);
        pair.Device.Publish();
        pair.PopUsed(1, 2);
        pair.PopUsed(2, 3);
    }

    private void Scribble<TKind, TDriver, TDevice>(Func<TestMemory, MemoryWindow, bool, TDevice> attach, int recordBytes)
        where TKind : IRingKind<TDriver, TDevice>
        where TDriver : struct, IDriverQueue
        where TDevice : struct, IDeviceQueue
    {
        var stride = recordBytes / Size / 16 * 16;
        Gen.Select(Gen.Byte.Array[recordBytes], Gen.Frequency((3, true), (1, false)), Gen.Byte[0, 1].Array[Size]).Sample(
            (bytes, trusted, inFlight) =>
            {
                using var pair = new QueuePair<TKind, TDriver, TDevice>(new QueueOptions(Size, Indirect: true, EventIndex: true));
                using var record = new TestMemory(recordBytes);
                if (trusted)
                {
                    // A header that the device trusts: version 1, the right size; then entries that are in flight or not.
                    BitConverter.TryWriteBytes(bytes.AsSpan(8), (ushort)1);
                    BitConverter.TryWriteBytes(bytes.AsSpan(10), (ushort)Size);
                    for (var entry = 0; entry < Size; entry++) bytes[recordBytes - (Size - entry) * stride] = inFlight[entry];
                }
                bytes.CopyTo(record.Span(TestMemory.Start, recordBytes));
                var device = attach(pair.Ram, record.Window(TestMemory.Start, recordBytes), true);
                var chain = new DescriptorChain();
                if (device.HasPending) Interlocked.Increment(ref _resumed);
                var pops = 0;
                for (; pops < 1000 && device.TryPop(chain) == PopResult.Popped; pops++)
                {
                    device.Return(chain.Handle, 0);
                    device.Publish();
                }
                Assert.InRange(pops, 0, 4 * Size);
            },
            iter: 1000);
        Assert.True(_resumed > 0);
    }
}
