using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>A driver that changes descriptors while the device reads them.</summary>
public sealed class ChangingDescriptorsTests : IDisposable
{
    private const ulong Data = ScribbledSplitRing.Data, Table = ScribbledSplitRing.Table;

    private readonly ScribbledSplitRing _ring = new();

    public void Dispose() => _ring.Dispose();

    [Fact]
    public void Descriptors_that_change_during_a_pop_give_a_whole_chain_or_break_the_ring()
    {
        // A second thread changes every field between valid and invalid values. Each popped chain must still be consistent.
        var seed = Environment.TickCount;
        using var ready = new ManualResetEventSlim();
        var stop = new SharedFlag();
        var scribbler = new Thread(() =>
        {
            var random = new Random(seed);
            ready.Set();
            while (!stop.IsRaised) Scribble(_ring, random);
        });
        scribbler.Start();
        ready.Wait();
        try
        {
            int popped = 0, broken = 0;
            for (var i = 0; i < 100_000 || ((popped == 0 || broken == 0) && i < 50_000_000); i++)
            {
                var device = new SplitDeviceQueue(_ring.Ram.Memory, SplitRing.Areas(_ring.Ram, 8), 8, 0, true, false);
                _ring.SetAvailable(8);
                while (device.TryPop(_ring.Chain) == PopResult.Popped)
                {
                    popped++;
                    AssertWhole(_ring.Chain, $"seed {seed}");
                }
                if (device.Fault is not null) broken++;
            }
            Assert.True(popped > 0 && broken > 0, $"seed {seed}: {popped} popped, {broken} broken");
        }
        finally
        {
            stop.Raise();
            scribbler.Join();
        }
    }

    private static void Scribble(ScribbledSplitRing ring, Random random)
    {
        ulong address = random.Next(8) switch { 0 => ulong.MaxValue - (ulong)random.Next(64), 1 => (ulong)random.NextInt64(), < 5 => Table, _ => Data };
        uint length = random.Next(8) switch { 0 => uint.MaxValue, 1 => (uint)random.Next(100), _ => 16u * (uint)random.Next(1, 9) };
        var flags = random.Next(16) == 0 ? (DescriptorFlags)random.Next(65_536) : (DescriptorFlags)random.Next(5);
        var next = (ushort)random.Next(random.Next(16) == 0 ? 65_536 : 8);
        if (random.Next(2) == 0) ring.Descriptor(random.Next(8), address, length, flags, next);
        else ring.Entry(random.Next(8), address, length, flags, next);
        ring.Available.Write(SplitLayout.Ring + 2 * random.Next(8), (ushort)random.Next(random.Next(16) == 0 ? 65_536 : 8));
    }

    private static void AssertWhole(DescriptorChain chain, string where)
    {
        // At most eight direct descriptors, the last of which names a table of up to 1024 entries.
        if (chain.Count is < 1 or > DescriptorChain.MaxSegments) Assert.Fail($"{where}: {chain.Count} buffers");
        if (chain.Readable.Length + chain.Writable.Length != chain.Count) Assert.Fail($"{where}: {chain.ReadableCount} of {chain.Count}");
        if (chain.Handle.Id >= ScribbledSplitRing.Size) Assert.Fail($"{where}: head {chain.Handle.Id}");
        foreach (var segment in chain.Readable) AssertFits(segment, where);
        foreach (var segment in chain.Writable) AssertFits(segment, where);
    }

    private static void AssertFits(DescriptorChain.Segment segment, string where)
    {
        if (segment.Address > ulong.MaxValue - segment.Length) Assert.Fail($"{where}: {segment} overflows");
    }
}
