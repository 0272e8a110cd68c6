using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;
using Xunit.Abstractions;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>
/// A device whose process dies at any moment leaves its requests to the next one: each is done at least once, none is
/// completed twice, and none is lost (vhost-user, "Inflight I/O tracking").
/// </summary>
public sealed class InflightTests(ITestOutputHelper output)
{
    private const int Size = 16;

    private static readonly Func<TestMemory, MemoryWindow, bool, SplitDeviceQueue> s_split = static (ram, inflight, indirect) =>
        new(ram.Memory, SplitRing.Areas(ram, Size), Size, 0, indirect, eventIndex: true, inflight);

    // The base that the front-end sends is what the driver has seen used; the record is the better witness.
    private static readonly Func<TestMemory, MemoryWindow, bool, PackedDeviceQueue> s_packed = static (ram, inflight, indirect) =>
        new(ram.Memory, PackedRing.Areas(ram, Size), Size, PackedLayout.StartPosition, indirect, eventIndex: true, inflight);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_split_ring_loses_and_repeats_nothing(bool indirect) =>
        DieAndGoOn<SplitRing, SplitDriverQueue, SplitDeviceQueue>(indirect, s_split, SplitDeviceQueue.InflightBytes(Size));

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_packed_ring_loses_and_repeats_nothing(bool indirect) =>
        DieAndGoOn<PackedRing, PackedDriverQueue, PackedDeviceQueue>(indirect, s_packed, PackedDeviceQueue.InflightBytes(Size));

    [Fact]
    public void A_hostile_record_breaks_a_split_ring_at_worst() =>
        Scribble<SplitRing, SplitDriverQueue, SplitDeviceQueue>(s_split, SplitDeviceQueue.InflightBytes(Size));

    [Fact]
    public void A_hostile_record_breaks_a_packed_ring_at_worst() =>
        Scribble<PackedRing, PackedDriverQueue, PackedDeviceQueue>(s_packed, PackedDeviceQueue.InflightBytes(Size));

    private void DieAndGoOn<TKind, TDriver, TDevice>(bool indirect, Func<TestMemory, MemoryWindow, bool, TDevice> attach, int inflightBytes)
        where TKind : IRingKind<TDriver, TDevice>
        where TDriver : struct, IDriverQueue
        where TDevice : struct, IDeviceQueue
    {
        var seed = Random.Shared.Next();
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        using var pair = new QueuePair<TKind, TDriver, TDevice>(new QueueOptions(Size, indirect, EventIndex: true));
        using var record = new TestMemory(inflightBytes);
        var device = attach(pair.Ram, record.Window(TestMemory.Start, inflightBytes), indirect);
        var chain = new DescriptorChain();
        var held = new List<(ChainHandle Handle, int Token)>();
        var outstanding = new HashSet<int>();
        var done = new HashSet<int>();
        int next = 0, completed = 0, deaths = 0, untaken = 0;

        for (var step = 0; step < 20_000; step++)
        {
            switch (random.Next(7))
            {
                case 0 or 1:
                    var token = next % 1000;
                    var buffers = Enumerable.Range(0, random.Next(1, 4)).Select(i => new QueueBuffer(pair.Data + (ulong)token, (uint)(i + 1))).ToArray();
                    if (outstanding.Contains(token) || !pair.Driver.TryAdd(buffers, 0, (ushort)token)) break;
                    outstanding.Add(token);
                    next++;
                    break;
                case 2 or 3:
                    if (device.TryTake(chain) != PopResult.Taken) break;
                    var taken = (int)(chain.Writable[0].Address - pair.Data);
                    Assert.Contains(taken, outstanding);
                    Assert.DoesNotContain(held, h => h.Token == taken);
                    if (random.Next(8) == 0 && device.TryUntake(chain.Handle))
                    {
                        Assert.Empty(held);
                        untaken++;
                        break;
                    }
                    done.Add(taken);
                    held.Add((chain.Handle, taken));
                    break;
                case 4:
                    if (held.Count == 0) break;
                    for (var batch = random.Next(1, Math.Min(held.Count, 4) + 1); batch > 0; batch--)
                    {
                        var at = random.Next(held.Count);
                        device.Return(held[at].Handle, (uint)held[at].Token);
                        held.RemoveAt(at);
                    }
                    if (random.Next(10) == 0) goto default;
                    device.Publish();
                    break;
                case 5:
                    while (pair.Driver.TryTakeUsed(out var used, out var written) == PopResult.Taken)
                    {
                        Assert.Equal(used, written);
                        Assert.True(outstanding.Remove(used), $"{used} was completed twice");
                        Assert.True(done.Remove(used), $"{used} was completed and not done");
                        completed++;
                    }
                    break;
                case 6:
                    pair.Driver.Publish();
                    if (random.Next(10) == 0) goto default;
                    break;
                default:
                    // The process is gone, with whatever it knew; the next one has the ring and the record.
                    device = attach(pair.Ram, record.Window(TestMemory.Start, inflightBytes), indirect);
                    held.Clear();
                    deaths++;
                    break;
            }
            Assert.Null(device.Fault);
            Assert.Null(pair.Driver.Fault);
        }

        pair.Driver.Publish();
        foreach (var (handle, token) in held) device.Return(handle, (uint)token);
        device.Publish();
        while (device.TryTake(chain) == PopResult.Taken)
        {
            device.Return(chain.Handle, (uint)(chain.Writable[0].Address - pair.Data));
            device.Publish();
        }
        while (pair.Driver.TryTakeUsed(out var used, out _) == PopResult.Taken) Assert.True(outstanding.Remove(used));
        Assert.Empty(outstanding);
        output.WriteLine($"{completed} requests over {deaths} deaths");
        Assert.InRange(deaths, 100, int.MaxValue);
        Assert.InRange(untaken, 10, int.MaxValue);
        Assert.InRange(completed, 1000, int.MaxValue);
    }

    private void Scribble<TKind, TDriver, TDevice>(Func<TestMemory, MemoryWindow, bool, TDevice> attach, int inflightBytes)
        where TKind : IRingKind<TDriver, TDevice>
        where TDriver : struct, IDriverQueue
        where TDevice : struct, IDeviceQueue
    {
        var seed = Random.Shared.Next();
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        using var pair = new QueuePair<TKind, TDriver, TDevice>(new QueueOptions(Size, Indirect: true, EventIndex: true));
        using var record = new TestMemory(inflightBytes);
        var chain = new DescriptorChain();
        for (var round = 0; round < 2000; round++)
        {
            var bytes = record.Span(TestMemory.Start, inflightBytes);
            random.NextBytes(bytes);
            if (random.Next(4) > 0)
            {
                // A header that is believed: version 1, the right size.
                BitConverter.TryWriteBytes(bytes[8..], (ushort)1);
                BitConverter.TryWriteBytes(bytes[10..], (ushort)Size);
                for (var entry = 0; entry < Size; entry++) bytes[inflightBytes - (Size - entry) * (inflightBytes / Size / 16 * 16)] = (byte)random.Next(2);
            }
            var device = attach(pair.Ram, record.Window(TestMemory.Start, inflightBytes), true);
            var takes = 0;
            for (; takes < 1000 && device.TryTake(chain) == PopResult.Taken; takes++)
            {
                device.Return(chain.Handle, 0);
                device.Publish();
            }
            Assert.InRange(takes, 0, 4 * Size);
        }
    }
}
