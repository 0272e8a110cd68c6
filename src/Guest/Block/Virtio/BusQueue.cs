namespace VmShunt.BlockDriver.Virtio;

/// <summary>The driver's end of one virtqueue, whoever owns it.</summary>
internal abstract class BusQueue : IDisposable
{
    internal abstract QueueCounters Counters { get; }

    /// <summary>Takes no more, lets requests in flight end, and waits until nobody touches the ring.</summary>
    internal abstract void Drain();

    /// <summary>The device is gone: requests with it are rejected, and nothing more is taken.</summary>
    internal abstract void Abandon();

    public abstract void Dispose();
}

/// <summary>What a queue did.</summary>
/// <param name="Requests">Requests given to the device.</param>
/// <param name="Kicks">Times the device's eventfd was written.</param>
/// <param name="Calls">Times the device woke who waits for it.</param>
internal readonly record struct QueueCounters(long Requests, long Kicks, long Calls)
{
    internal static QueueCounters Sum(IEnumerable<QueueCounters> queues) => queues.Aggregate(
        default(QueueCounters), static (sum, queue) => new QueueCounters(sum.Requests + queue.Requests, sum.Kicks + queue.Kicks, sum.Calls + queue.Calls));
}
