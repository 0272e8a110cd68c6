using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Files;

/// <summary>
/// Zeroed memory that is taken for what is written alone, a large page at a time, however much of it is read: where a system
/// has no large page of zeros to show, the first read of one would have it take and clear a page. Any thread, one owner;
/// bytes that one thread reads while another writes them are some of both.
/// </summary>
public sealed class SparseMemory : IDisposable
{
    private const int PageBytes = PrivateMemory.LargePageBytes;

    private readonly PrivateMemory _memory;

    // Of each page, whether it may hold anything.
    private readonly bool[] _written;

    /// <summary>Reserves memory.</summary>
    /// <param name="bytes">How much, at least 1; it may be more than the machine has.</param>
    /// <exception cref="IOException">The process has no address space for it.</exception>
    public SparseMemory(long bytes)
    {
        _memory = new PrivateMemory(bytes);
        _written = new bool[PageOf(bytes - 1) + 1];
    }

    /// <summary>Fills the pieces with what lies at an offset; the list stays as it is.</summary>
    /// <inheritdoc cref="PrivateMemory.Read"/>
    public void Read(IoVectors target, long offset, long next = -1)
    {
        ArgumentNullException.ThrowIfNull(target);
        if (IsWritten(offset, target.TotalBytes)) _memory.Read(target, offset, next);
        else target.Zero();
    }

    /// <summary>Writes bytes at an offset.</summary>
    /// <param name="source">The bytes; all of them must have room.</param>
    /// <param name="offset">In bytes.</param>
    /// <exception cref="IOException">Memory of the source is gone: a file behind it was cut short.</exception>
    public void Write(ReadOnlySpan<byte> source, long offset)
    {
        if (source.IsEmpty) return;
        ThrowIfOutside(offset, source.Length);
        MarkWritten(offset, source.Length);
        BulkCopy.Copy(source, _memory.At(offset, source.Length));
        // Once more: whoever gave the page back meanwhile may have overlooked what came after.
        MarkWritten(offset, source.Length);
    }

    /// <summary>Makes a range read as zeros.</summary>
    /// <param name="offset">In bytes.</param>
    /// <param name="bytes">How many; all of them must be there.</param>
    /// <param name="givesBack">Whether whole large pages are given back to the system.</param>
    public void Clear(long offset, long bytes, bool givesBack)
    {
        if (bytes == 0) return;
        ThrowIfOutside(offset, bytes);
        for (var end = offset + bytes; offset < end;)
        {
            var page = PageOf(offset);
            var length = (int)(Math.Min(end, (page + 1L) * PageBytes) - offset);
            if (Volatile.Read(ref _written[page]) && !(givesBack && length == PageBytes && TryGiveBack(page))) _memory.At(offset, length).Clear();
            offset += length;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();

    private static int PageOf(long offset) => checked((int)(offset / PageBytes));

    private void ThrowIfOutside(long offset, long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, _memory.Length - offset);
    }

    private bool IsWritten(long offset, long bytes)
    {
        if (bytes == 0) return false;
        ThrowIfOutside(offset, bytes);
        for (var page = PageOf(offset); page <= PageOf(offset + bytes - 1); page++)
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
        // In this order, so that a write that comes in between is told of again by its writer.
        Volatile.Write(ref _written[page], false);
        if (_memory.TryGiveBack((long)page * PageBytes, PageBytes)) return true;
        Volatile.Write(ref _written[page], true);
        return false;
    }
}
