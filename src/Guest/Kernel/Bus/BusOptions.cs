using VmShunt.Ring.Notification;

namespace VmShunt.Guest.Bus;

/// <summary>How the bus is used.</summary>
/// <param name="Queues">Request queues, each with a thread; the back-end may offer fewer.</param>
/// <param name="Wait">How queue threads wait.</param>
/// <param name="Layout">Which rings.</param>
internal sealed record BusOptions(int Queues, WaitPolicy Wait, RingLayout Layout);
