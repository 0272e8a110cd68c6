using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend;

/// <summary>
/// A disk that takes a request as a list of memory pieces, to pass it on to <c>preadv</c> (<see cref="Ring.Files.DiskFile"/>)
/// or to another queue in one call.
/// </summary>
/// <remarks>
/// As <see cref="BlockDevice"/>, but with the request whole: the sum of the pieces is a multiple of
/// <see cref="BlockStorage.LogicalBlockSize"/>, a single piece need not be. Calls are concurrent up to
/// <see cref="BlockServerOptions.MaxConcurrency"/>. The list and its pieces are valid until the member returns, which may
/// consume the list.
/// </remarks>
public abstract class VectoredBlockDevice : BlockStorage
{
    /// <summary>Fills every piece from the disk.</summary>
    /// <param name="destination">The pieces, guest memory.</param>
    /// <param name="offset">The offset on the disk in bytes.</param>
    public abstract void Read(IoVectors destination, long offset);

    /// <summary>Writes every piece to the disk.</summary>
    /// <param name="source">The pieces, guest memory, which the guest may write meanwhile.</param>
    /// <param name="offset">The offset on the disk in bytes.</param>
    public abstract void Write(IoVectors source, long offset);

    /// <inheritdoc cref="BlockDevice.Flush"/>
    public abstract void Flush();

    /// <inheritdoc cref="BlockDevice.Discard"/>
    public virtual void Discard(long offset, long length)
    {
    }

    /// <summary>Makes a range read as zeros.</summary>
    /// <param name="offset">The offset in bytes.</param>
    /// <param name="length">The length in bytes.</param>
    /// <param name="mayDeallocate">Whether the range may be deallocated.</param>
    public abstract void WriteZeroes(long offset, long length, bool mayDeallocate);
}
