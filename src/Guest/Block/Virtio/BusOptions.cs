using VmShunt.Ring.Notification;

namespace VmShunt.BlockDriver.Virtio;

/// <summary>The options of a bus channel.</summary>
/// <param name="Queues">Request queues with a thread each; the back-end may offer fewer.</param>
/// <param name="Wait">The wait strategy of queue threads and polled calls.</param>
/// <param name="Layout">The ring layout.</param>
/// <param name="PollQueues">Additional queues that callers poll themselves; the back-end may offer fewer.</param>
internal sealed record BusOptions(int Queues, WaitPolicy Wait, RingLayout Layout, int PollQueues = 0);
