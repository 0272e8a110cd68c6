namespace VmShunt.Ring.Virtqueue;

/// <summary>One buffer of a request.</summary>
/// <param name="Address">The guest-physical address of the first byte.</param>
/// <param name="Length">Bytes.</param>
public readonly record struct QueueBuffer(ulong Address, uint Length);

/// <summary>
/// The driver's side of a virtqueue, the same for both ring layouts; structs, as <see cref="IDeviceQueue"/>. One thread
/// owns a queue. The device is not trusted: each used entry is checked against the requests in flight.
/// </summary>
public interface IDriverQueue
{
    /// <summary>How many requests of three buffers can be in flight.</summary>
    int Capacity { get; }

    /// <summary>Requests that are added and not yet popped as completed.</summary>
    int InFlight { get; }

    /// <summary>Adds one request. The device sees it after <see cref="Publish"/>.</summary>
    /// <param name="buffers">At least one; the device-readable ones first.</param>
    /// <param name="readable">How many are device-readable.</param>
    /// <param name="token">Identifies the request; its completion carries it.</param>
    /// <returns>False when the ring is full.</returns>
    bool TryAdd(ReadOnlySpan<QueueBuffer> buffers, int readable, ushort token);

    /// <summary>Publishes the added requests.</summary>
    /// <returns>Whether the device must be kicked for them.</returns>
    bool Publish();

    /// <summary>Pops one completed request from the used ring.</summary>
    /// <param name="token">The request's token.</param>
    /// <param name="written">Bytes written, as the device reports them; not checked.</param>
    PopResult TryPopUsed(out ushort token, out uint written);

    /// <summary>Enables the call for the next completion. Call this before blocking.</summary>
    /// <returns>True when completions are available already: do not block.</returns>
    bool Arm();

    /// <summary>Suppresses calls.</summary>
    void Disarm();

    /// <summary>Why the queue is broken; null while it works.</summary>
    string? Fault { get; }
}
