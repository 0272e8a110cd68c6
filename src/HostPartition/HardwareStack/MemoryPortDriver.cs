using VmShunt.Ring.Memory;

namespace VmShunt.HostPartition.HardwareStack;

/// <summary>A disk in memory (<c>memory:SIZE</c>): what the roads cost when the device costs next to nothing.</summary>
internal sealed class MemoryPortDriver : PortDriver
{
    private const int PieceBytes = 1 << 30;

    // To the end of the last sector; what lies there past the end of the disk is never written, and so reads as zeros.
    private readonly PrivateMemory _memory;

    internal MemoryPortDriver(long bytes)
    {
        Bytes = bytes;
        _memory = new PrivateMemory((bytes + DiskClassDriver.SectorBytes - 1) / DiskClassDriver.SectorBytes * DiskClassDriver.SectorBytes);
    }

    internal override string Description => $"memory:{Bytes}";

    internal override long Bytes { get; }

    internal override bool IsQuick => true;

    internal override bool NeverWaits => true;

    internal override bool IsReadOnly => false;

    internal override void Read(IoVectors target, long offset) => _memory.Read(target, offset);

    internal override void Read(IoVectors target, long offset, long next) => _memory.Read(target, offset, next);

    internal override void Write(IoVectors source, long offset)
    {
        for (var i = 0; i < source.Count; i++)
        {
            ReadOnlySpan<byte> piece = source[i];
            var target = At(offset, piece.Length);
            BulkCopy.Copy(piece[..target.Length], target);
            offset += target.Length;
        }
    }

    internal override void Flush()
    {
        // Memory is as durable as it will ever be.
    }

    internal override bool TryDiscard(long offset, long bytes)
    {
        WriteZeroes(offset, bytes);
        return true;
    }

    internal override void WriteZeroes(long offset, long bytes)
    {
        for (; bytes > 0; offset += PieceBytes, bytes -= PieceBytes) At(offset, (int)Math.Min(bytes, PieceBytes)).Clear();
    }

    public override void Dispose() => _memory.Dispose();

    private Span<byte> At(long offset, int wanted) => offset >= Bytes ? default : _memory.At(offset, (int)Math.Min(wanted, Bytes - offset));
}
