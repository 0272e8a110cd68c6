using VmShunt.Ring.Memory;

namespace VmShunt.HostPartition.HardwareStack;

/// <summary>
/// A disk in memory (<c>memory:SIZE</c>): what the roads cost when the device costs next to nothing. It takes memory for what
/// is written, a large page at a time, and gives back the pages that are discarded whole; it may be larger than the machine's memory.
/// </summary>
internal sealed class MemoryPortDriver : PortDriver
{
    // To the end of the last sector; what lies there past the end of the disk is never written, and so reads as zeros.
    private readonly PrivateMemory _memory;

    // Of each large page, whether it may hold anything: to read one that does not would have the system take and clear it.
    private readonly bool[] _written;

    internal MemoryPortDriver(long bytes)
    {
        Bytes = bytes;
        _memory = new PrivateMemory((bytes + DiskClassDriver.SectorBytes - 1) / DiskClassDriver.SectorBytes * DiskClassDriver.SectorBytes);
        _written = new bool[PageOf(bytes - 1) + 1];
    }

    internal override string Description => $"memory:{Bytes}";

    internal override long Bytes { get; }

    internal override bool IsQuick => true;

    internal override bool NeverWaits => true;

    internal override bool IsReadOnly => false;

    internal override void Read(IoVectors target, long offset) => Read(target, offset, -1);

    internal override void Read(IoVectors target, long offset, long next)
    {
        if (IsWritten(offset, target.TotalBytes)) _memory.Read(target, offset, next);
        else target.Zero();
    }

    internal override void Write(IoVectors source, long offset)
    {
        for (var i = 0; i < source.Count; i++)
        {
            ReadOnlySpan<byte> piece = source[i];
            var target = At(offset, piece.Length);
            MarkWritten(offset, target.Length);
            BulkCopy.Copy(piece[..target.Length], target);
            // Once more: whoever discarded it meanwhile may have overlooked what came after.
            MarkWritten(offset, target.Length);
            offset += target.Length;
        }
    }

    internal override void Flush()
    {
        // Memory is as durable as it will ever be.
    }

    internal override bool TryDiscard(long offset, long bytes) => TryUnmap(offset, bytes);

    internal override bool TryUnmap(long offset, long bytes)
    {
        Clear(offset, bytes, givesBack: true);
        return true;
    }

    internal override void WriteZeroes(long offset, long bytes) => Clear(offset, bytes, givesBack: false);

    public override void Dispose() => _memory.Dispose();

    private static int PageOf(long offset) => (int)(offset / PrivateMemory.LargePageBytes);

    private bool IsWritten(long offset, long bytes)
    {
        var last = Math.Min(PageOf(offset + bytes - 1), _written.Length - 1);
        for (var page = PageOf(offset); page <= last; page++)
        {
            if (Volatile.Read(ref _written[page])) return true;
        }
        return false;
    }

    private void MarkWritten(long offset, int bytes)
    {
        for (var page = PageOf(offset); page <= PageOf(offset + bytes - 1); page++)
        {
            if (!Volatile.Read(ref _written[page])) Volatile.Write(ref _written[page], true);
        }
    }

    private bool TryGiveBack(int page)
    {
        Volatile.Write(ref _written[page], false);
        if (_memory.TryGiveBack((long)page * PrivateMemory.LargePageBytes, PrivateMemory.LargePageBytes)) return true;
        Volatile.Write(ref _written[page], true);
        return false;
    }

    private void Clear(long offset, long bytes, bool givesBack)
    {
        for (var end = Math.Min(offset + bytes, Bytes); offset < end;)
        {
            var page = PageOf(offset);
            var upTo = Math.Min(end, (page + 1L) * PrivateMemory.LargePageBytes);
            var length = (int)(upTo - offset);
            if (Volatile.Read(ref _written[page]))
            {
                if (!givesBack || length != PrivateMemory.LargePageBytes || !TryGiveBack(page)) At(offset, length).Clear();
            }
            offset = upTo;
        }
    }

    private Span<byte> At(long offset, int wanted) => offset >= Bytes ? default : _memory.At(offset, (int)Math.Min(wanted, Bytes - offset));
}
