using CsCheck;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>
/// Used rings that a random device writes: the driver completes each request in flight at most once, in the order of the
/// ring, and breaks at the first entry that names none.
/// </summary>
public sealed class HostileUsedRingTests
{
    private const int Size = 8, Requests = 4, Iterations = 5000;

    private int _completed, _broken;

    [Fact]
    public void A_split_driver_completes_what_is_in_flight_and_breaks_at_the_rest()
    {
        // Chains of two: every second descriptor is a head.
        var id = Gen.Frequency<uint>((6, Gen.UInt[0, Requests - 1].Select(static i => 2 * i)), (1, Gen.UInt[0, Size]), (1, Gen.UInt));
        var index = Gen.Frequency<ushort>((7, Gen.UShort[0, Requests]), (1, Gen.UShort));
        Gen.Select(Gen.Select(id, Gen.UInt).Array[Size], index, Gen.Bool).Sample(
            (entries, index, eventIndex) =>
            {
                using var ram = new TestMemory(0x1_0000);
                var areas = SplitRing.Areas(ram, Size);
                var driver = new SplitDriverQueue(areas, Size, eventIndex);
                Add(ref driver);
                for (var i = 0; i < Size; i++) areas.Used.Write(SplitLayout.Ring + 8 * i, entries[i].Item1 | (ulong)entries[i].Item2 << 32);
                areas.Used.WriteUInt16Release(SplitLayout.Index, index);
                var inFlight = Enumerable.Range(0, Requests).ToDictionary(static i => 2 * (uint)i, static i => (ushort)i);
                for (var at = 0; at != index; at++)
                {
                    ushort token = 0;
                    var sound = index <= Requests && inFlight.Remove(entries[at].Item1, out token);
                    if (!Completes(ref driver, sound, token, entries[at].Item2)) return;
                    Assert.Equal(inFlight.Count, driver.InFlight);
                }
                Assert.Equal(PopResult.Empty, driver.TryPopUsed(out _, out _));
            },
            iter: Iterations);
        Assert.True(_completed > 0 && _broken > 0, $"{_completed} requests completed, {_broken} rings broken");
    }

    [Fact]
    public void A_packed_driver_completes_what_is_in_flight_and_breaks_at_the_rest()
    {
        const DescriptorFlags used = PackedLayout.Available | PackedLayout.Used;
        var id = Gen.Frequency<ushort>((6, Gen.UShort[0, Requests - 1]), (1, Gen.UShort[0, Size]), (1, Gen.UShort));
        var flags = Gen.Frequency<DescriptorFlags>((8, Gen.Const(used)), (1, Gen.Const(PackedLayout.Available)), (1, Gen.UShort.Select(static f => (DescriptorFlags)f)));
        Gen.Select(Gen.Select(id, Gen.UInt, flags).Array[Size], Gen.Bool).Sample(
            (entries, eventIndex) =>
            {
                using var ram = new TestMemory(0x1_0000);
                var areas = PackedRing.Areas(ram, Size);
                var driver = new PackedDriverQueue(areas, Size, eventIndex);
                Add(ref driver);
                for (var i = 0; i < Size; i++)
                {
                    var (entryId, length, entryFlags) = entries[i];
                    areas.Descriptors.Write(16 * i, new PackedDescriptor { Id = entryId, Length = length, Flags = entryFlags });
                }
                var inFlight = Enumerable.Range(0, Requests).ToDictionary(static i => (ushort)i, static i => (ushort)i);
                // A chain has two slots, so the driver reads every second entry.
                for (var at = 0; inFlight.Count > 0 && (entries[at].Item3 & used) == used; at += 2)
                {
                    var sound = inFlight.Remove(entries[at].Item1, out var token);
                    if (!Completes(ref driver, sound, token, entries[at].Item2)) return;
                    Assert.Equal(inFlight.Count, driver.InFlight);
                }
                Assert.Equal(PopResult.Empty, driver.TryPopUsed(out _, out _));
            },
            iter: Iterations);
        Assert.True(_completed > 0 && _broken > 0, $"{_completed} requests completed, {_broken} rings broken");
    }

    private static void Add<TDriver>(ref TDriver driver) where TDriver : struct, IDriverQueue
    {
        for (ushort token = 0; token < Requests; token++) Assert.True(driver.TryAdd([new(1, 1), new(2, 2)], 1, token));
        driver.Publish();
    }

    private bool Completes<TDriver>(ref TDriver driver, bool sound, ushort token, uint written) where TDriver : struct, IDriverQueue
    {
        var found = driver.TryPopUsed(out var popped, out var reported);
        Assert.Equal(sound ? PopResult.Popped : PopResult.Broken, found);
        Interlocked.Increment(ref sound ? ref _completed : ref _broken);
        if (sound) Assert.Equal((token, written), (popped, reported));
        else Assert.NotNull(driver.Fault);
        return sound;
    }
}
