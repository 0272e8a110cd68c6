namespace VmShunt.Ring.Virtqueue;

/// <summary>
/// A device's queue whose guest migrates: it marks in the dirty log what the device writes into the ring and into the buffers
/// of the chains that it returns (vhost-user, "Migration"). A device that writes elsewhere, or after the return, must not offer
/// migration.
/// </summary>
public struct LoggedQueue<TQueue> : IDeviceQueue where TQueue : struct, IDeviceQueue
{
    private readonly RingLog _log;
    private TQueue _queue;

    internal LoggedQueue(TQueue queue, RingLog log) => (_queue, _log) = (queue, log);

    /// <inheritdoc/>
    public readonly bool HasPending => _queue.HasPending;

    /// <inheritdoc/>
    public readonly uint Position => _queue.Position;

    /// <inheritdoc/>
    public readonly string? Fault => _queue.Fault;

    /// <inheritdoc/>
    public PopResult TryPop(DescriptorChain chain)
    {
        var result = _queue.TryPop(chain);
        if (result == PopResult.Popped) _log.Popped(chain);
        return result;
    }

    /// <inheritdoc/>
    public void Return(ChainHandle handle, uint written)
    {
        // Before the driver can see the chain as used: what it has seen is never without its mark.
        _log.Returning(handle);
        _queue.Return(handle, written);
    }

    /// <inheritdoc/>
    public bool Publish()
    {
        var mustCall = _queue.Publish();
        _log.RingWritten();
        return mustCall;
    }

    /// <inheritdoc/>
    public bool Arm()
    {
        var hasChains = _queue.Arm();
        _log.RingWritten();
        return hasChains;
    }

    /// <inheritdoc/>
    public void Disarm()
    {
        _queue.Disarm();
        _log.RingWritten();
    }

    /// <inheritdoc/>
    public bool TryUnpop(ChainHandle handle) => _queue.TryUnpop(handle);
}
