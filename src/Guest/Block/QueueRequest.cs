using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;

namespace VmShunt.BlockDriver;

/// <summary>
/// A request of a <see cref="BlockQueue"/>, which owns it and reuses it. Its owner's thread takes it from the ring; a thread
/// that closes the ring returns it through <see cref="BlockQueue.Return"/>.
/// </summary>
internal sealed class QueueRequest(BlockQueue queue) : BlockRequest
{
    internal long Tag { get; private set; }

    /// <summary>The buffer that it holds; null for a request without data.</summary>
    internal PooledBuffer? Buffer { get; private set; }

    /// <summary>The status of a request that another thread completed; null: it was rejected.</summary>
    internal BlockStatus? Status { get; set; }

    internal void Begin(BlockOperation operation, ulong sector, int bytes, PooledBuffer? buffer, ulong address, long tag)
    {
        Begin(operation, sector, bytes, address);
        Fallback = queue.Rejected;
        Buffer = buffer;
        Tag = tag;
        Status = null;
    }

    /// <summary>Begins it again for the next back-end.</summary>
    internal void BeginAgain() => Begin(Operation, Sector, Bytes, Buffer, Address, Tag);

    internal void ReleaseBuffer()
    {
        Buffer?.Release();
        Buffer = null;
    }

    protected override void End(BlockStatus status)
    {
        Status = status;
        ReleaseBuffer();
        queue.Return(this);
    }
}
