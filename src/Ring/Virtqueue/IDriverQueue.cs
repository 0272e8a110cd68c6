namespace VmShunt.Ring.Virtqueue;

/// <summary>One buffer of a request, by guest-physical address.</summary>
/// <param name="Address">The first byte.</param>
/// <param name="Length">Bytes.</param>
public readonly record struct QueueBuffer(ulong Address, uint Length);

/// <summary>
/// The driver's side of a virtqueue, the same for every ring layout; structs, as <see cref="IDeviceQueue"/>. One thread
/// owns a queue. The device is not trusted: what it returns is checked against what is in flight.
/// </summary>
public interface IDriverQueue
{
    /// <summary>The most requests of three buffers that can be in flight.</summary>
    int Capacity { get; }

    /// <summary>Requests added and not yet taken back.</summary>
    int InFlight { get; }

    /// <summary>Describes one request in the ring; the device sees it after <see cref="Publish"/>.</summary>
    /// <param name="buffers">First those that the device reads, then those that it writes; at least one.</param>
    /// <param name="readable">How many the device reads.</param>
    /// <param name="token">The caller's name for the request; comes back with its completion.</param>
    /// <returns>False when the ring is full.</returns>
    bool TryAdd(ReadOnlySpan<QueueBuffer> buffers, int readable, ushort token);

    /// <summary>Makes added requests visible to the device.</summary>
    /// <returns>Whether the device asked to be kicked for them.</returns>
    bool Publish();

    /// <summary>Takes one completed request.</summary>
    /// <param name="token">The request's name.</param>
    /// <param name="written">Bytes that the device says it wrote.</param>
    PopResult TryTakeUsed(out ushort token, out uint written);

    /// <summary>Asks the device for a call at the next completion. Call before sleeping.</summary>
    /// <returns>True when completions arrived meanwhile: do not sleep.</returns>
    bool Arm();

    /// <summary>Tells the device that calls are not needed now.</summary>
    void Disarm();

    /// <summary>Why the queue is broken, or null.</summary>
    string? Fault { get; }
}
