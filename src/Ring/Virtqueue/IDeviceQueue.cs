namespace VmShunt.Ring.Virtqueue;

/// <summary>
/// The device's side of a virtqueue, the same for every ring layout. Implemented by structs, so that a loop that is
/// generic over the layout is compiled for it with no dispatch. One thread owns a queue.
/// </summary>
/// <remarks>
/// The queue only reads and writes the ring; it never signals and never sleeps. It says when the peer must be called,
/// and whether work arrived while notifications were being switched on.
/// </remarks>
public interface IDeviceQueue
{
    /// <summary>Takes the next available chain, copying every descriptor exactly once.</summary>
    PopResult TryTake(DescriptorChain chain);

    /// <summary>Puts a finished chain into the ring; the driver sees it after <see cref="Publish"/> at the latest.</summary>
    /// <param name="handle">From <see cref="DescriptorChain.Handle"/>.</param>
    /// <param name="written">Bytes that the device wrote into the chain's writable buffers, from their start.</param>
    void Return(ChainHandle handle, uint written);

    /// <summary>Makes returned chains visible to the driver.</summary>
    /// <returns>Whether the driver asked to be called for them.</returns>
    bool Publish();

    /// <summary>Asks the driver for a kick at the next chain. Call before sleeping.</summary>
    /// <returns>True when chains arrived meanwhile: do not sleep.</returns>
    bool Arm();

    /// <summary>Tells the driver that kicks are not needed now.</summary>
    void Disarm();

    /// <summary>
    /// Gives the chain that was taken last back to the ring as if it had not been taken. Possible when every chain taken
    /// before it was returned, in the order of the ring.
    /// </summary>
    /// <returns>False when it is not possible: the chain must be returned.</returns>
    bool TryUntake(ChainHandle handle);

    /// <summary>Whether chains that a process before this one took are yet to be taken again.</summary>
    bool HasPending { get; }

    /// <summary>
    /// Where the next chain will be taken, as GET_VRING_BASE reports it: split, the available index; packed, the available
    /// index and wrap counter in the low half, the used ones in the high half.
    /// </summary>
    uint Position { get; }

    /// <summary>Why the queue is broken, or null.</summary>
    string? Fault { get; }
}
