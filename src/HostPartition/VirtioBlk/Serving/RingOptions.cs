using VmShunt.Ring.Notification;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.HostPartition.VirtioBlk.Serving;

/// <summary>The options of the virtio-blk device.</summary>
/// <param name="Queues">The number of request queues, 1 to 64.</param>
/// <param name="QueueSize">The largest queue size: a power of two up to 32768.</param>
/// <param name="Poll">How queue threads wait.</param>
/// <param name="Primary">The request types that the ring carries out; others complete with UNSUPP.</param>
internal sealed record RingOptions(int Queues, int QueueSize, WaitPolicy Poll, RequestTypes Primary);
