using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Files;

/// <summary>
/// Zeroed memory of which the system allocates only the large pages that were written. A read of a page that was never
/// written returns zeros without an access, which would allocate and clear the page. Any thread, one owner; a read that is
/// concurrent with a write of the same bytes may return some of both.
/// </summary>
public sealed class SparseMemory : IDisposable
{
    private const int PageBytes = PrivateMemory.LargePageBytes;

    private readonly PrivateMemory _memory;

    // Per page: whether it may hold data. Threads share it, so every access is ordered.
    private readonly bool[] _written;

    /// <summary>Reserves memory.</summary>
    /// <param name="bytes">The size, at least 1; it may exceed the memory of the machine.</param>
    /// <exception cref="IOException">The process has no address space for it.</exception>
    public SparseMemory(long bytes)
    {
        _memory = new PrivateMemory(bytes);
        _written = new bool[PageOf(bytes - 1) + 1];
    }

    /// <summary>Copies bytes from an offset into the pieces; the list does not change.</summary>
    /// <inheritdoc cref="PrivateMemory.Read"/>
    public void Read(IoVectors target, long offset, long next = -1)
    {
        ArgumentNullException.ThrowIfNull(target);
        if (IsWritten(offset, target.TotalBytes)) _memory.Read(target, offset, next);
        else target.Zero();
    }

    /// <summary>Writes bytes at an offset.</summary>
    /// <param name="source">The bytes; the memory must have room for all of them.</param>
    /// <param name="offset">In bytes.</param>
    /// <exception cref="IOException">A page of the source cannot be accessed: its file was truncated, or its device failed.</exception>
    public void Write(ReadOnlySpan<byte> source, long offset)
    {
        if (source.IsEmpty) return;
        ThrowIfOutside(offset, source.Length);
        MarkWritten(offset, source.Length);
        BulkCopy.Copy(source, _memory.At(offset, source.Length));
        // Again: a thread that freed the page during the copy has cleared the mark, maybe before the last bytes were written.
        MarkWritten(offset, source.Length);
    }

    /// <summary>Makes a range read as zeros.</summary>
    /// <param name="offset">In bytes.</param>
    /// <param name="bytes">The length; the memory must hold all of it.</param>
    /// <param name="givesBack">Whether to free whole large pages.</param>
    public void Clear(long offset, long bytes, bool givesBack)
    {
        if (bytes == 0) return;
        ThrowIfOutside(offset, bytes);
        for (var end = offset + bytes; offset < end;)
        {
            var page = PageOf(offset);
            var length = (int)(Math.Min(end, (page + 1L) * PageBytes) - offset);
            // Acquire: pairs with the writer's mark, whose page must not be skipped.
            if (Ordered.Load(ref _written[page]) && !(givesBack && length == PageBytes && TryFree(page))) _memory.At(offset, length).Clear();
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
            // Acquire: the bytes are read after the mark.
            if (Ordered.Load(ref _written[page])) return true;
        }
        return false;
    }

    private void MarkWritten(long offset, int bytes)
    {
        for (var page = PageOf(offset); page <= PageOf(offset + bytes - 1); page++)
        {
            // Release: after the copy, a thread that sees the second mark sees the bytes. The load saves the cache line.
            if (!Ordered.Load(ref _written[page])) Ordered.Store(ref _written[page], true);
        }
    }

    private bool TryFree(int page)
    {
        // Cleared before the page is freed: a concurrent write then finds the mark cleared and sets it again.
        Ordered.Store(ref _written[page], false);
        if (_memory.TryFree((long)page * PageBytes, PageBytes)) return true;
        Ordered.Store(ref _written[page], true);
        return false;
    }
}
