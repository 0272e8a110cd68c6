using VmShunt.Ring.Memory;

namespace VmShunt.HostPartition.Disk;

/// <summary>A disk that keeps nothing and moves nothing (<c>null:SIZE</c>): what the roads cost by themselves.</summary>
internal sealed class NullPortDriver(long bytes) : PortDriver
{
    internal override string Description => $"null:{Bytes}";

    internal override long Bytes => bytes;

    internal override bool IsQuick => true;

    internal override bool NeverWaits => true;

    internal override bool IsReadOnly => false;

    internal override void Read(IoVectors target, long offset)
    {
        // Whatever the buffer held stays there: that is what makes it the cost of the road alone.
    }

    internal override void Write(IoVectors source, long offset)
    {
        // Nothing is kept.
    }

    internal override void Flush()
    {
        // Nothing was kept.
    }

    internal override bool TryDiscard(long offset, long bytes) => true;

    internal override bool TryUnmap(long offset, long bytes) => true;

    internal override void WriteZeroes(long offset, long bytes)
    {
        // Nothing is kept.
    }

    public override void Dispose()
    {
        // Nothing is held.
    }
}
