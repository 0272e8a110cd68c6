namespace VmShunt.Tests.Ring.Virtqueue;

/// <summary>Both kinds of suppression (flags, EVENT_IDX), and how many requests completed before.</summary>
public sealed class NotificationStarts : TheoryData<bool, int>
{
    public NotificationStarts()
    {
        foreach (var start in (int[])[0, 1, 32_767, 65_531, 65_533, 65_534, 65_535, 65_536])
        {
            Add(false, start);
            Add(true, start);
        }
    }
}
