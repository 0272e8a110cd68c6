namespace VmShunt.BlockBackend;

/// <summary>
/// A disk of one's own: four members, and defaults for the rest. The server checks offsets and lengths before it calls: they
/// are multiples of <see cref="BlockStorage.LogicalBlockSize"/> and inside <see cref="BlockStorage.Length"/>.
/// </summary>
/// <remarks>
/// <para>At most <see cref="BlockServerOptions.MaxConcurrency"/> calls run at once, one by default, over all queues, sessions
/// and both paths; each on the thread of the queue that it serves, which a call must not block for long.</para>
/// <para>The spans are guest memory: no copy is made. They are valid until the member returns, and the guest may write them
/// meanwhile, so read what you judge once, or set <see cref="BlockServerOptions.StableWrites"/>. A request whose pieces split
/// a block goes through a private buffer.</para>
/// <para>An exception fails the request with an I/O error and one log line, and never the process;
/// <see cref="BlockException"/> chooses another status.</para>
/// </remarks>
public abstract class BlockDevice : BlockStorage
{
    /// <summary>Fills <paramref name="destination"/> from the disk.</summary>
    /// <param name="destination">Guest memory, one or more whole blocks.</param>
    /// <param name="offset">The offset on the disk in bytes.</param>
    public abstract void Read(Span<byte> destination, long offset);

    /// <summary>Writes <paramref name="source"/> to the disk. It may be volatile until <see cref="Flush"/>.</summary>
    /// <param name="source">Guest memory, one or more whole blocks.</param>
    /// <param name="offset">The offset on the disk in bytes.</param>
    public abstract void Write(ReadOnlySpan<byte> source, long offset);

    /// <summary>Returns when every write that returned before is durable.</summary>
    public abstract void Flush();

    /// <summary>A hint that a range is not used any more; its content is undefined afterwards. Does nothing by default.</summary>
    /// <param name="offset">The offset in bytes.</param>
    /// <param name="length">The length in bytes.</param>
    public virtual void Discard(long offset, long length)
    {
    }

    /// <summary>Makes a range read as zeros; by default by <see cref="Write"/>.</summary>
    /// <param name="offset">The offset in bytes.</param>
    /// <param name="length">The length in bytes.</param>
    /// <param name="mayDeallocate">Whether the range may be deallocated.</param>
    public virtual void WriteZeroes(long offset, long length, bool mayDeallocate)
    {
        for (var end = offset + length; offset < end; offset += ZeroBlocks.Bytes)
            Write(ZeroBlocks.Of((int)Math.Min(ZeroBlocks.Bytes, end - offset)), offset);
    }
}
