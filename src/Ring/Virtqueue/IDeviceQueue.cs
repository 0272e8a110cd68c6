namespace VmShunt.Ring.Virtqueue;

/// <summary>
/// The device's side of a virtqueue, the same for both ring layouts. The implementations are structs: a generic loop is
/// compiled per layout, without virtual calls. One thread owns a queue.
/// </summary>
/// <remarks>
/// The queue reads and writes the ring; it never signals and never blocks. It reports whether the driver must be called,
/// and whether chains arrived while kicks were being enabled.
/// </remarks>
public interface IDeviceQueue
{
    /// <summary>Pops the next available chain. Every descriptor is read exactly once.</summary>
    PopResult TryPop(DescriptorChain chain);

    /// <summary>Returns a chain to the ring. The driver sees it after <see cref="Publish"/> at the latest.</summary>
    /// <param name="handle">From <see cref="DescriptorChain.Handle"/>.</param>
    /// <param name="written">Bytes written into the device-writable buffers, from their start.</param>
    void Return(ChainHandle handle, uint written);

    /// <summary>Publishes the returned chains.</summary>
    /// <returns>Whether the driver must be called for them.</returns>
    bool Publish();

    /// <summary>Enables the kick for the next chain. Call this before blocking.</summary>
    /// <returns>True when chains are available already: do not block.</returns>
    bool Arm();

    /// <summary>Suppresses kicks.</summary>
    void Disarm();

    /// <summary>
    /// Un-pops the chain that was popped last: it is available again. Possible only when every chain popped before it is
    /// returned.
    /// </summary>
    /// <returns>False when it is not possible; the chain must be returned.</returns>
    bool TryUnpop(ChainHandle handle);

    /// <summary>Whether in-flight chains of a previous back-end process are still to be popped again.</summary>
    bool HasPending { get; }

    /// <summary>
    /// The position of the next chain, as GET_VRING_BASE reports it. Split: the available index. Packed: the available index
    /// and wrap counter in the low half, the used ones in the high half.
    /// </summary>
    uint Position { get; }

    /// <summary>Why the queue is broken; null while it works.</summary>
    string? Fault { get; }
}
