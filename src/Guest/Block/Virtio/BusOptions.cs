using VmShunt.Ring.Notification;

namespace VmShunt.BlockDriver.Virtio;

/// <summary>The options of a bus channel.</summary>
/// <param name="queues">Request queues with a thread each; the back-end may offer fewer.</param>
/// <param name="wait">The wait strategy of queue threads and polled calls.</param>
/// <param name="layout">The ring layout.</param>
/// <param name="pollQueues">Additional queues that callers poll themselves; the back-end may offer fewer.</param>
public sealed class BusOptions(int queues, WaitPolicy wait, RingLayout layout, int pollQueues = 0)
{
    /// <summary>Request queues with a thread each; the back-end may offer fewer.</summary>
    public int Queues { get; } = queues;

    /// <summary>The wait strategy of queue threads and polled calls.</summary>
    public WaitPolicy Wait { get; } = wait;

    /// <summary>The ring layout.</summary>
    public RingLayout Layout { get; } = layout;

    /// <summary>Additional queues that callers poll themselves; the back-end may offer fewer.</summary>
    public int PollQueues { get; } = pollQueues;
}
