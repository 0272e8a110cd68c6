using VmShunt.Ring.Virtqueue;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>When an end must signal the other, whatever the ring's layout; starting at each place around the wrap of the indices.</summary>
public abstract class NotificationContractTests<TKind, TDriver, TDevice>
    where TKind : IRingKind<TDriver, TDevice>
    where TDriver : struct, IDriverQueue
    where TDevice : struct, IDeviceQueue
{
    [Theory]
    [ClassData(typeof(NotificationStarts))]
    public void A_device_that_waits_is_kicked_for_the_next_chain(bool eventIndex, int start)
    {
        using var pair = Pair(eventIndex, start);
        for (ushort i = 0; i < 6; i++)
        {
            Assert.False(pair.Device.Arm());
            Assert.True(pair.Add(i));
            Assert.True(pair.Driver.Publish());
            pair.Device.Disarm();
            pair.Device.Return(pair.Take(i), 0);
            pair.Device.Publish();
            pair.TakeUsed(i, 0);
        }
    }

    [Theory]
    [ClassData(typeof(NotificationStarts))]
    public void A_device_that_polls_is_not_kicked(bool eventIndex, int start)
    {
        using var pair = Pair(eventIndex, start);
        Assert.False(pair.Device.Arm());
        Assert.True(pair.Add(0));
        Assert.True(pair.Driver.Publish());
        pair.Device.Disarm();
        for (ushort i = 1; i < 6; i++)
        {
            Assert.True(pair.Add(i));
            Assert.False(pair.Driver.Publish());
        }
        for (ushort i = 0; i < 6; i++) pair.Take(i);
    }

    [Theory]
    [ClassData(typeof(NotificationStarts))]
    public void A_driver_that_waits_is_called_for_the_next_completion(bool eventIndex, int start)
    {
        using var pair = Pair(eventIndex, start);
        for (ushort i = 0; i < 6; i++)
        {
            Assert.True(pair.Add(i));
            pair.Driver.Publish();
            var handle = pair.Take(i);
            Assert.False(pair.Driver.Arm());
            pair.Device.Return(handle, 0);
            Assert.True(pair.Device.Publish());
            pair.Driver.Disarm();
            pair.TakeUsed(i, 0);
        }
    }

    [Theory]
    [ClassData(typeof(NotificationStarts))]
    public void A_driver_that_polls_is_not_called(bool eventIndex, int start)
    {
        using var pair = Pair(eventIndex, start);
        for (ushort i = 0; i < 6; i++) Assert.True(pair.Add(i));
        pair.Driver.Publish();
        Assert.False(pair.Driver.Arm());
        pair.Device.Return(pair.Take(0), 0);
        Assert.True(pair.Device.Publish());
        pair.Driver.Disarm();
        for (ushort i = 1; i < 6; i++)
        {
            pair.Device.Return(pair.Take(i), 0);
            Assert.False(pair.Device.Publish());
        }
        for (ushort i = 0; i < 6; i++) pair.TakeUsed(i, 0);
    }

    [Theory]
    [ClassData(typeof(NotificationStarts))]
    public void A_batch_that_passes_the_awaited_place_is_signalled_once(bool eventIndex, int start)
    {
        using var pair = Pair(eventIndex, start);
        Assert.False(pair.Device.Arm());
        for (ushort i = 0; i < 6; i++) Assert.True(pair.Add(i));
        Assert.True(pair.Driver.Publish());
        pair.Device.Disarm();
        Assert.False(pair.Driver.Publish());
        Assert.False(pair.Driver.Arm());
        for (ushort i = 0; i < 6; i++) pair.Device.Return(pair.Take(i), 0);
        Assert.True(pair.Device.Publish());
        pair.Driver.Disarm();
        Assert.False(pair.Device.Publish());
    }

    [Theory]
    [ClassData(typeof(NotificationStarts))]
    public void Who_arms_too_late_is_told_not_to_sleep(bool eventIndex, int start)
    {
        using var pair = Pair(eventIndex, start);
        pair.Device.Disarm();
        pair.Driver.Disarm();
        Assert.True(pair.Add(1));
        pair.Driver.Publish();
        Assert.True(pair.Device.Arm());
        var handle = pair.Take(1);
        Assert.False(pair.Device.Arm());
        Assert.False(pair.Driver.Arm());
        pair.Driver.Disarm();
        pair.Device.Return(handle, 0);
        pair.Device.Publish();
        Assert.True(pair.Driver.Arm());
        pair.TakeUsed(1, 0);
        Assert.False(pair.Driver.Arm());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Publishing_nothing_signals_nobody(bool eventIndex)
    {
        using var pair = Pair(eventIndex, 0);
        Assert.False(pair.Device.Arm());
        Assert.False(pair.Driver.Arm());
        Assert.False(pair.Driver.Publish());
        Assert.False(pair.Device.Publish());
    }

    private static QueuePair<TKind, TDriver, TDevice> Pair(bool eventIndex, int start)
    {
        var pair = new QueuePair<TKind, TDriver, TDevice>(new QueueOptions(8, Indirect: false, eventIndex));
        pair.Advance(start);
        return pair;
    }
}
