using VmShunt.Ring.Virtqueue;

namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>When one end must notify the other, in both ring layouts, from every position around the wrap of the indices.</summary>
public abstract class NotificationContractTests<TKind, TDriver, TDevice>
    where TKind : IRingKind<TDriver, TDevice>
    where TDriver : struct, IDriverQueue
    where TDevice : struct, IDeviceQueue
{
    [Theory]
    [ClassData(typeof(NotificationStarts))]
    public void An_armed_device_is_kicked_for_the_next_chain(bool eventIndex, int start)
    {
        using var pair = Pair(eventIndex, start);
        for (ushort i = 0; i < 6; i++)
        {
            Assert.False(pair.Device.Arm());
            Assert.True(pair.Add(i));
            Assert.True(pair.Driver.Publish());
            pair.Device.Disarm();
            pair.Device.Return(pair.Pop(i), 0);
            pair.Device.Publish();
            pair.PopUsed(i, 0);
        }
    }

    [Theory]
    [ClassData(typeof(NotificationStarts))]
    public void A_device_that_suppresses_kicks_is_not_kicked(bool eventIndex, int start)
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
        for (ushort i = 0; i < 6; i++) pair.Pop(i);
    }

    [Theory]
    [ClassData(typeof(NotificationStarts))]
    public void An_armed_driver_is_called_for_the_next_completion(bool eventIndex, int start)
    {
        using var pair = Pair(eventIndex, start);
        for (ushort i = 0; i < 6; i++)
        {
            Assert.True(pair.Add(i));
            pair.Driver.Publish();
            var handle = pair.Pop(i);
            Assert.False(pair.Driver.Arm());
            pair.Device.Return(handle, 0);
            Assert.True(pair.Device.Publish());
            pair.Driver.Disarm();
            pair.PopUsed(i, 0);
        }
    }

    [Theory]
    [ClassData(typeof(NotificationStarts))]
    public void A_driver_that_suppresses_calls_is_not_called(bool eventIndex, int start)
    {
        using var pair = Pair(eventIndex, start);
        for (ushort i = 0; i < 6; i++) Assert.True(pair.Add(i));
        pair.Driver.Publish();
        Assert.False(pair.Driver.Arm());
        pair.Device.Return(pair.Pop(0), 0);
        Assert.True(pair.Device.Publish());
        pair.Driver.Disarm();
        for (ushort i = 1; i < 6; i++)
        {
            pair.Device.Return(pair.Pop(i), 0);
            Assert.False(pair.Device.Publish());
        }
        for (ushort i = 0; i < 6; i++) pair.PopUsed(i, 0);
    }

    [Theory]
    [ClassData(typeof(NotificationStarts))]
    public void A_batch_that_passes_the_event_index_is_notified_once(bool eventIndex, int start)
    {
        using var pair = Pair(eventIndex, start);
        Assert.False(pair.Device.Arm());
        for (ushort i = 0; i < 6; i++) Assert.True(pair.Add(i));
        Assert.True(pair.Driver.Publish());
        pair.Device.Disarm();
        Assert.False(pair.Driver.Publish());
        Assert.False(pair.Driver.Arm());
        for (ushort i = 0; i < 6; i++) pair.Device.Return(pair.Pop(i), 0);
        Assert.True(pair.Device.Publish());
        pair.Driver.Disarm();
        Assert.False(pair.Device.Publish());
    }

    [Theory]
    [ClassData(typeof(NotificationStarts))]
    public void Arming_reports_work_that_is_already_available(bool eventIndex, int start)
    {
        using var pair = Pair(eventIndex, start);
        pair.Device.Disarm();
        pair.Driver.Disarm();
        Assert.True(pair.Add(1));
        pair.Driver.Publish();
        Assert.True(pair.Device.Arm());
        var handle = pair.Pop(1);
        Assert.False(pair.Device.Arm());
        Assert.False(pair.Driver.Arm());
        pair.Driver.Disarm();
        pair.Device.Return(handle, 0);
        pair.Device.Publish();
        Assert.True(pair.Driver.Arm());
        pair.PopUsed(1, 0);
        Assert.False(pair.Driver.Arm());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_empty_publish_notifies_neither_side(bool eventIndex)
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
