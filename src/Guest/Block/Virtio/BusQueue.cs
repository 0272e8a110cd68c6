namespace VmShunt.BlockDriver.Virtio;

/// <summary>The driver's end of one virtqueue, with a thread or polled by callers.</summary>
internal abstract class BusQueue : IDisposable
{
    internal abstract QueueCounters Counters { get; }

    /// <summary>Accepts no more requests, lets those in flight complete, and waits until no thread uses the ring.</summary>
    internal abstract void Drain();

    /// <summary>Gives up the device: rejects the requests in flight and accepts no more.</summary>
    internal abstract void Abandon();

    public abstract void Dispose();
}

/// <summary>The counters of a queue.</summary>
/// <param name="Requests">Requests put into the ring.</param>
/// <param name="Kicks">Writes to the driver's eventfd.</param>
/// <param name="Calls">Wake-ups by the device's eventfd.</param>
public readonly record struct QueueCounters(long Requests, long Kicks, long Calls)
{
    /// <summary>Adds the counters of several queues.</summary>
    /// <param name="queues">The counters of each.</param>
    public static QueueCounters Sum(IEnumerable<QueueCounters> queues) => queues.Aggregate(
        default(QueueCounters), static (sum, queue) => new QueueCounters(sum.Requests + queue.Requests, sum.Kicks + queue.Kicks, sum.Calls + queue.Calls));
}
