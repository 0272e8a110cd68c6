using VmShunt.Ring.Notification;

namespace VmShunt.BlockDriver.Virtio;

/// <summary>How the bus is used.</summary>
/// <param name="Queues">Request queues, each with a thread; the back-end may offer fewer.</param>
/// <param name="Wait">How queue threads, and callers that poll, wait.</param>
/// <param name="Layout">Which rings.</param>
/// <param name="PollQueues">Queues beside those, that callers poll themselves; the back-end may offer fewer.</param>
internal sealed record BusOptions(int Queues, WaitPolicy Wait, RingLayout Layout, int PollQueues = 0);
