using VmShunt.Ring.Notification;

namespace VmShunt.Guest.Bus;

/// <summary>How the enlightened stack uses the bus.</summary>
/// <param name="Queues">Request queues wanted; a back-end may offer fewer.</param>
/// <param name="Wait">How a queue's thread waits for completions.</param>
internal sealed record BusOptions(int Queues, WaitPolicy Wait);
