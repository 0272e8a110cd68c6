using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Disk;

/// <summary>A disk that transfers and keeps no data (<c>null:SIZE</c>), to measure the two paths alone.</summary>
internal sealed class NullPortDriver(long bytes) : PortDriver
{
    internal override string Description => $"null:{Bytes}";

    internal override string Engine => "engine null, no data is copied";

    internal override long Bytes => bytes;

    internal override bool IsMemoryResident => true;

    internal override bool NeverBlocks => true;

    internal override bool IsReadOnly => false;

    internal override void Read(IoVectors target, long offset)
    {
        // The buffer keeps its content: filling it would add the cost of a copy.
    }

    internal override void Write(IoVectors source, long offset)
    {
        // Data is not kept.
    }

    internal override void Flush()
    {
        // There is no data to flush.
    }

    internal override bool TryDiscard(long offset, long bytes) => true;

    internal override bool TryUnmap(long offset, long bytes) => true;

    internal override void WriteZeroes(long offset, long bytes)
    {
        // Data is not kept.
    }

    public override void Dispose()
    {
        // There is no resource to release.
    }
}
