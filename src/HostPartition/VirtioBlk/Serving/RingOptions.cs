using VmShunt.Ring.Notification;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.HostPartition.VirtioBlk.Serving;

/// <summary>How a disk is served over virtio-blk.</summary>
/// <param name="Queues">Request queues offered, 1 to 64.</param>
/// <param name="QueueSize">The largest ring: a power of two up to 32768.</param>
/// <param name="Poll">How queue threads wait.</param>
/// <param name="Primary">The request types that the ring carries out; others complete with UNSUPP.</param>
internal sealed record RingOptions(int Queues, int QueueSize, WaitPolicy Poll, RequestTypes Primary);
