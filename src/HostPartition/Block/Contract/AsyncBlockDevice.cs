namespace VmShunt.BlockBackend;

/// <summary>
/// A disk whose requests complete later: over a network, or on other threads. Reads and writes of a queue run concurrently,
/// up to 64 per queue; they complete in any order.
/// </summary>
/// <remarks>
/// <para>Offsets and lengths are checked as for <see cref="BlockDevice"/>. Members are called on the queues' threads, so they
/// should reach their first await soon.</para>
/// <para>The memory is guest memory, valid until the returned task completes; a later use throws, or touches memory of that
/// guest alone. <see cref="BlockServerOptions.DetectMisuse"/> makes every later use throw.</para>
/// <para>The token is cancelled when the session ends. A request that does not complete within
/// <see cref="BlockServerOptions.DrainTimeout"/> after that is failed, and its memory stays mapped until it completes.</para>
/// <para>An exception fails the request, as for <see cref="BlockDevice"/>.</para>
/// </remarks>
public abstract class AsyncBlockDevice : BlockStorage
{
    /// <summary>Fills <paramref name="destination"/> from the disk.</summary>
    /// <param name="destination">Guest memory, one or more whole blocks.</param>
    /// <param name="offset">The offset on the disk in bytes.</param>
    /// <param name="cancellationToken">Cancelled when the session ends.</param>
    public abstract ValueTask ReadAsync(Memory<byte> destination, long offset, CancellationToken cancellationToken);

    /// <summary>Writes <paramref name="source"/> to the disk. It may be volatile until <see cref="FlushAsync"/>.</summary>
    /// <param name="source">Guest memory, one or more whole blocks, which the guest may write meanwhile.</param>
    /// <param name="offset">The offset on the disk in bytes.</param>
    /// <param name="cancellationToken">Cancelled when the session ends.</param>
    public abstract ValueTask WriteAsync(ReadOnlyMemory<byte> source, long offset, CancellationToken cancellationToken);

    /// <summary>Completes when every write that completed before is durable.</summary>
    /// <param name="cancellationToken">Not cancelled: a guest relies on a flush.</param>
    public abstract ValueTask FlushAsync(CancellationToken cancellationToken);

    /// <summary>A hint that a range is not used any more; its content is undefined afterwards. Does nothing by default.</summary>
    /// <param name="offset">The offset in bytes.</param>
    /// <param name="length">The length in bytes.</param>
    /// <param name="cancellationToken">Not cancelled.</param>
    public virtual ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken) => ValueTask.CompletedTask;

    /// <summary>Makes a range read as zeros; by default by <see cref="WriteAsync"/>.</summary>
    /// <param name="offset">The offset in bytes.</param>
    /// <param name="length">The length in bytes.</param>
    /// <param name="mayDeallocate">Whether the range may be deallocated.</param>
    /// <param name="cancellationToken">Not cancelled.</param>
    public virtual async ValueTask WriteZeroesAsync(long offset, long length, bool mayDeallocate, CancellationToken cancellationToken)
    {
        for (var end = offset + length; offset < end; offset += ZeroBlocks.Bytes)
            await WriteAsync(ZeroBlocks.Memory[..(int)Math.Min(ZeroBlocks.Bytes, end - offset)], offset, cancellationToken).ConfigureAwait(false);
    }
}
