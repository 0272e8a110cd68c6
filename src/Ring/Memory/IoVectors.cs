using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Memory;

/// <summary>
/// A list of checked pieces of guest memory that one disk operation reads into or writes from. Only
/// <see cref="GuestMemory"/> can add to it, so every piece lies within a mapped region. It is reused, belongs to one thread
/// at a time, and is valid until the <see cref="GuestMemory"/> that filled it is disposed.
/// </summary>
public sealed class IoVectors
{
    /// <summary>The kernel's limit of pieces per system call (<c>IOV_MAX</c>).</summary>
    public const int MaxPieces = 1024;

    // A piece fits a span.
    private const ulong MaxPieceBytes = 1 << 30;

    private readonly IoVector[] _pieces = GC.AllocateUninitializedArray<IoVector>(MaxPieces, pinned: true);
    private int _count;

    /// <summary>Creates an empty list.</summary>
    public IoVectors() => Address = Marshal.UnsafeAddrOfPinnedArrayElement(_pieces, 0);

    /// <summary>The address of the array of pieces, which is pinned for as long as the list lives.</summary>
    internal nint Address { get; }

    internal ReadOnlySpan<IoVector> Pieces => _pieces.AsSpan(0, _count);

    /// <summary>The number of pieces.</summary>
    public int Count => _count;

    /// <summary>The sum of their lengths, in bytes.</summary>
    public long TotalBytes { get; private set; }

    /// <summary>Empties the list.</summary>
    public void Clear()
    {
        _count = 0;
        TotalBytes = 0;
    }

    internal bool TryAdd(nint address, ulong length)
    {
        while (length > 0)
        {
            var here = Math.Min(length, MaxPieceBytes);
            if (!TryExtendLast(address, here))
            {
                if (_count == MaxPieces) return false;
                _pieces[_count++] = new IoVector(address, (nuint)here);
            }
            TotalBytes += (long)here;
            address += (nint)here;
            length -= here;
        }
        return true;
    }

    private bool TryExtendLast(nint address, ulong length)
    {
        if (_count == 0) return false;
        ref var last = ref _pieces[_count - 1];
        if (last.Address + (nint)last.Length != address || last.Length + length > MaxPieceBytes) return false;
        last = new IoVector(last.Address, last.Length + (nuint)length);
        return true;
    }

    /// <summary>The bytes of one piece.</summary>
    public Span<byte> this[int index]
    {
        get
        {
            var piece = _pieces.AsSpan(0, _count)[index];
            return new MemoryWindow(piece.Address, (uint)piece.Length).Span;
        }
    }

    /// <summary>Whether every piece starts at a multiple of <paramref name="start"/> and its length is a multiple of <paramref name="length"/>; both are powers of two.</summary>
    public bool IsAligned(int start, int length)
    {
        nuint starts = 0, lengths = 0;
        foreach (var piece in _pieces.AsSpan(0, _count))
        {
            starts |= (nuint)piece.Address;
            lengths |= piece.Length;
        }
        return (starts & (nuint)(start - 1)) == 0 && (lengths & (nuint)(length - 1)) == 0;
    }

    /// <summary>Fills every byte with zero.</summary>
    /// <exception cref="IOException">A page of a piece cannot be accessed: its file was truncated, or its device failed.</exception>
    public void Zero() => ZeroFrom(0);

    /// <summary>Fills every byte after the first <paramref name="skip"/> with zero.</summary>
    /// <exception cref="IOException">A page of a piece cannot be accessed: its file was truncated, or its device failed.</exception>
    public void ZeroFrom(long skip)
    {
        foreach (var piece in _pieces.AsSpan(0, _count))
        {
            var length = (long)piece.Length;
            if (skip < length) BulkCopy.Clear(new MemoryWindow(piece.Address + (nint)skip, (uint)(length - skip)).Span);
            skip = Math.Max(0, skip - length);
        }
    }

    /// <summary>Copies bytes into the pieces, up to the shorter of both.</summary>
    /// <param name="source">The bytes.</param>
    /// <param name="isGuarded">Whether a page that cannot be accessed fails also a short copy, which it ends the process otherwise.</param>
    /// <returns>The number of bytes copied.</returns>
    /// <exception cref="IOException">A page cannot be accessed.</exception>
    public int CopyFrom(ReadOnlySpan<byte> source, bool isGuarded = false)
    {
        var copied = 0;
        for (var i = 0; i < _count && copied < source.Length; i++)
        {
            var piece = this[i];
            var n = Math.Min(piece.Length, source.Length - copied);
            BulkCopy.Copy(source.Slice(copied, n), piece, isGuarded);
            copied += n;
        }
        return copied;
    }

    /// <summary>Copies bytes out of the pieces, up to the shorter of both.</summary>
    /// <param name="target">Gets the bytes.</param>
    /// <param name="isGuarded">Whether a page that cannot be accessed fails also a short copy, which it ends the process otherwise.</param>
    /// <returns>The number of bytes copied.</returns>
    /// <exception cref="IOException">A page cannot be accessed.</exception>
    public int CopyTo(Span<byte> target, bool isGuarded = false)
    {
        var copied = 0;
        for (var i = 0; i < _count && copied < target.Length; i++)
        {
            var piece = this[i];
            var n = Math.Min(piece.Length, target.Length - copied);
            BulkCopy.Copy(piece[..n], target[copied..], isGuarded);
            copied += n;
        }
        return copied;
    }

    /// <summary>
    /// Fills the pieces from contiguous memory that may become inaccessible, and prefetches the memory of a likely next read.
    /// Only where <see cref="GuardedCopy"/> is supported.
    /// </summary>
    /// <param name="source">The address of as many bytes as the pieces hold.</param>
    /// <param name="next">A hint: the address of the next bytes; 0: unknown.</param>
    /// <returns>False when a page cannot be accessed; the content of the pieces is undefined then.</returns>
    internal bool TryFillFrom(nint source, nint next)
    {
        // With more than that, the prefetched lines and the copied ones would evict each other from the first-level cache.
        const int maxPrefetchBytes = 16 * 1024;
        if (TotalBytes > maxPrefetchBytes) next = 0;
        foreach (var piece in _pieces.AsSpan(0, _count))
        {
            if (!(next == 0 ? GuardedCopy.TryCopy(piece.Address, source, piece.Length) : GuardedCopy.TryCopy(piece.Address, source, piece.Length, next))) return false;
            source += (nint)piece.Length;
            if (next != 0) next += (nint)piece.Length;
        }
        return true;
    }

    /// <summary>Keeps the first <paramref name="bytes"/> bytes only.</summary>
    public void Truncate(long bytes)
    {
        for (var i = 0; i < _count; i++)
        {
            var length = (long)_pieces[i].Length;
            if (bytes <= length)
            {
                _pieces[i] = new IoVector(_pieces[i].Address, (nuint)bytes);
                _count = bytes == 0 ? i : i + 1;
                break;
            }
            bytes -= length;
        }
        TotalBytes = 0;
        foreach (var piece in _pieces.AsSpan(0, _count)) TotalBytes += (long)piece.Length;
    }

    /// <summary>Drops the first <paramref name="bytes"/> bytes, at most all: a header, or the bytes of a partial transfer.</summary>
    public void Skip(long bytes)
    {
        bytes = Math.Min(bytes, TotalBytes);
        TotalBytes -= bytes;
        var first = 0;
        while (first < _count && bytes >= (long)_pieces[first].Length) bytes -= (long)_pieces[first++].Length;
        _pieces.AsSpan(first, _count - first).CopyTo(_pieces);
        _count -= first;
        if (bytes > 0) _pieces[0] = new IoVector(_pieces[0].Address + (nint)bytes, _pieces[0].Length - (nuint)bytes);
    }
}
