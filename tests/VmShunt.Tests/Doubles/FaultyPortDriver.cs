using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Doubles;

/// <summary>A disk that fails every request, or is read-only.</summary>
internal sealed class FaultyPortDriver(long bytes, bool readOnly = false) : PortDriver
{
    internal override string Description => "faulty";

    internal override long Bytes => bytes;

    internal override bool IsReadOnly => readOnly;

    internal override bool CanDisown => true;

    internal override void Read(IoVectors target, long offset) => throw new IOException("bad medium");

    internal override void Write(IoVectors source, long offset) => throw new IOException("bad medium");

    internal override void Flush() => throw new IOException("bad medium");

    internal override bool TryDiscard(long offset, long bytes) => false;

    internal override void WriteZeroes(long offset, long bytes) => throw new IOException("bad medium");

    public override void Dispose()
    {
        // There is no resource to release.
    }
}
