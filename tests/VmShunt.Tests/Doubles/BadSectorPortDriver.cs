using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Doubles;

/// <summary>A disk in memory whose reads fail from an offset on.</summary>
internal sealed class BadSectorPortDriver(long bytes, long badFrom) : PortDriver
{
    private readonly MemoryPortDriver _memory = new(bytes);

    internal override string Description => "bad sectors";

    internal override long Bytes => _memory.Bytes;

    internal override bool IsReadOnly => false;

    internal override void Read(IoVectors target, long offset)
    {
        if (offset + target.TotalBytes > badFrom) throw new IOException("bad sector");
        _memory.Read(target, offset);
    }

    internal override void Write(IoVectors source, long offset) => _memory.Write(source, offset);

    internal override void Flush() => _memory.Flush();

    internal override bool TryDiscard(long offset, long bytes) => _memory.TryDiscard(offset, bytes);

    internal override void WriteZeroes(long offset, long bytes) => _memory.WriteZeroes(offset, bytes);

    public override void Dispose() => _memory.Dispose();
}
