using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Disk;

/// <summary>
/// A disk in memory (<c>memory:SIZE</c>), to measure the two paths with a device that costs almost nothing. It allocates
/// memory when a range is written and frees it when the range is discarded, so it may be larger than the machine's memory.
/// </summary>
internal sealed class MemoryPortDriver : PortDriver
{
    // Up to the end of the last sector. The part past the end of the disk is never written, and so reads as zeros.
    private readonly SparseMemory _memory;

    internal MemoryPortDriver(long bytes)
    {
        Bytes = bytes;
        _memory = new SparseMemory((bytes + HostClassDriver.SectorBytes - 1) / HostClassDriver.SectorBytes * HostClassDriver.SectorBytes);
    }

    internal override string Description => $"memory:{Bytes}";

    internal override string Engine => $"engine memory, {BulkCopy.Description}";

    internal override long Bytes { get; }

    internal override bool IsMemoryResident => true;

    internal override bool NeverBlocks => true;

    internal override bool IsReadOnly => false;

    internal override void Read(IoVectors target, long offset) => _memory.Read(target, offset);

    internal override void Read(IoVectors target, long offset, long next) => _memory.Read(target, offset, next);

    internal override void Write(IoVectors source, long offset)
    {
        for (var i = 0; i < source.Count; i++)
        {
            ReadOnlySpan<byte> piece = source[i];
            _memory.Write(piece[..(int)OnDisk(offset, piece.Length)], offset);
            offset += piece.Length;
        }
    }

    internal override void Flush()
    {
        // Memory has no volatile cache in front of it.
    }

    internal override bool TryDiscard(long offset, long bytes) => TryUnmap(offset, bytes);

    internal override bool TryUnmap(long offset, long bytes)
    {
        _memory.Clear(offset, OnDisk(offset, bytes), givesBack: true);
        return true;
    }

    internal override void WriteZeroes(long offset, long bytes) => _memory.Clear(offset, OnDisk(offset, bytes), givesBack: false);

    public override void Dispose() => _memory.Dispose();

    private long OnDisk(long offset, long bytes) => Math.Clamp(Bytes - offset, 0, bytes);
}
