using VmShunt.Ring.Memory;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>
/// One end arms while the other one publishes, each after a varied delay: either the arm finds the entry, or the publish
/// asks for a notification. Without the full fence between store and load on either end, both miss.
/// </summary>
[Collection(nameof(TwoCores))]
public abstract class SuppressionRaceTests<TKind, TDriver, TDevice>
    where TKind : IRingKind<TDriver, TDevice>
    where TDriver : struct, IDriverQueue
    where TDevice : struct, IDeviceQueue
{
    private const int Rounds = 60_000;

    // In loads of a cached word.
    private const int MaxDelay = 100;

    // Cache lines that both ends write before they act, at this distance. Each write waits for the line of the other end, and
    // keeps the writes behind it in the store buffer, while loads overtake them.
    private const int Lines = 12, IntsPerLine = 32;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_concurrent_arm_and_publish_never_miss_each_other(bool eventIndex)
    {
        using var pair = new QueuePair<TKind, TDriver, TDevice>(new QueueOptions(8, Indirect: false, eventIndex));
        Race(
            pair,
            beforeDriver: () => Assert.True(pair.Add(1)),
            beforeDevice: () => pair.Device.Disarm(),
            driver: () => pair.Driver.Publish(),
            device: () => pair.Device.Arm(),
            afterDevice: () =>
            {
                Assert.Equal(PopResult.Popped, pair.Device.TryPop(pair.Chain));
                pair.Device.Return(pair.Chain.Handle, 1);
                pair.Device.Publish();
            },
            afterDriver: () => Assert.Equal(PopResult.Popped, pair.Driver.TryPopUsed(out _, out _)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_arm_by_the_driver_and_a_concurrent_publish_by_the_device_never_miss_each_other(bool eventIndex)
    {
        using var pair = new QueuePair<TKind, TDriver, TDevice>(new QueueOptions(8, Indirect: false, eventIndex));
        Assert.True(pair.Add(1));
        pair.Driver.Publish();
        Race(
            pair,
            beforeDriver: () => pair.Driver.Disarm(),
            beforeDevice: () =>
            {
                Assert.Equal(PopResult.Popped, pair.Device.TryPop(pair.Chain));
                pair.Device.Return(pair.Chain.Handle, 1);
            },
            driver: () => pair.Driver.Arm(),
            device: () => pair.Device.Publish(),
            afterDevice: static () => { },
            afterDriver: () =>
            {
                Assert.Equal(PopResult.Popped, pair.Driver.TryPopUsed(out _, out _));
                Assert.True(pair.Add(1));
                pair.Driver.Publish();
            });
    }

    private static void Race(
        QueuePair<TKind, TDriver, TDevice> pair, Action beforeDriver, Action beforeDevice, Func<bool> driver, Func<bool> device, Action afterDevice, Action afterDriver)
    {
        var seed = Environment.TickCount;
        SharedCounter driverAt = new(), deviceAt = new();
        var lines = new int[(Lines + 1) * IntsPerLine];
        bool isSeenByDevice = false, stopped = false;
        Exception? fault = null;
        var thread = new Thread(() =>
        {
            var random = new Random(seed);
            for (var round = 1; round <= Rounds && !stopped; round++)
            {
                fault ??= Record.Exception(beforeDevice);
                var delay = random.Next(MaxDelay);
                deviceAt.Meet(driverAt, 4 * round);
                Wait(delay);
                Write(lines, round);
                isSeenByDevice = device();
                deviceAt.Meet(driverAt, 4 * round + 1);
                fault ??= Record.Exception(afterDevice);
                deviceAt.Meet(driverAt, 4 * round + 2);
                deviceAt.Meet(driverAt, 4 * round + 3);
            }
        })
        { IsBackground = true };
        thread.Start();
        var mine = new Random(~seed);
        int? missedIn = null;
        for (var round = 1; round <= Rounds && !stopped; round++)
        {
            beforeDriver();
            var delay = mine.Next(MaxDelay);
            driverAt.Meet(deviceAt, 4 * round);
            Wait(delay);
            Write(lines, round);
            var isSeenByDriver = driver();
            driverAt.Meet(deviceAt, 4 * round + 1);
            // The end that armed would block, with an entry in the ring.
            if (!isSeenByDriver && !isSeenByDevice) missedIn = round;
            stopped = missedIn is not null || fault is not null;
            driverAt.Meet(deviceAt, 4 * round + 2);
            if (fault is null) afterDriver();
            driverAt.Meet(deviceAt, 4 * round + 3);
        }
        thread.Join();
        Assert.Null(fault);
        Assert.True(missedIn is null, $"round {missedIn}: neither end saw the other; seed {seed}");
        Assert.Null(pair.Driver.Fault ?? pair.Device.Fault);
    }

    private static void Write(int[] lines, int value)
    {
        for (var i = 1; i <= Lines; i++) lines[i * IntsPerLine] = value;
    }

    private static void Wait(int loads)
    {
        var word = 0;
        for (var i = 0; i < loads; i++) _ = Ordered.Load(ref word);
    }
}
