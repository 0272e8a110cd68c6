using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Memory;

/// <summary>
/// A list of checked pieces of guest memory that one disk operation reads into or writes from. Only
/// <see cref="GuestMemory"/> can add to it, so every piece lies inside a mapped region. Reused, never shared between
/// threads; valid while the <see cref="GuestMemory"/> that filled it is alive.
/// </summary>
public sealed unsafe class IoVectors
{
    /// <summary>The kernel's limit of pieces a call (<c>IOV_MAX</c>).</summary>
    public const int MaxPieces = 1024;

    // No piece outgrows a span.
    private const ulong MaxPieceBytes = 1 << 30;

    private readonly IoVector[] _pieces = GC.AllocateUninitializedArray<IoVector>(MaxPieces, pinned: true);
    private int _count;

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

    internal bool TryAdd(byte* address, ulong length)
    {
        while (length > 0)
        {
            var here = Math.Min(length, MaxPieceBytes);
            if (!TryExtendLast(address, here))
            {
                if (_count == MaxPieces) return false;
                _pieces[_count++] = new IoVector((nint)address, (nuint)here);
            }
            TotalBytes += (long)here;
            address += here;
            length -= here;
        }
        return true;
    }

    private bool TryExtendLast(byte* address, ulong length)
    {
        if (_count == 0) return false;
        ref var last = ref _pieces[_count - 1];
        if ((nuint)last.Address + last.Length != (nuint)address || last.Length + length > MaxPieceBytes) return false;
        last = new IoVector(last.Address, last.Length + (nuint)length);
        return true;
    }

    /// <summary>One piece as a span, for devices that fill memory themselves.</summary>
    public Span<byte> this[int index]
    {
        get
        {
            var piece = _pieces.AsSpan(0, _count)[index];
            return new Span<byte>((void*)piece.Address, (int)piece.Length);
        }
    }

    /// <summary>Whether every piece starts at a multiple of one size and is a multiple of another long. Both are powers of two.</summary>
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
    /// <exception cref="IOException">Memory of a piece is gone.</exception>
    public void Zero() => ZeroFrom(0);

    /// <summary>Fills every byte from <paramref name="skip"/> on with zero.</summary>
    /// <exception cref="IOException">Memory of a piece is gone.</exception>
    public void ZeroFrom(long skip)
    {
        foreach (var piece in _pieces.AsSpan(0, _count))
        {
            var length = (long)piece.Length;
            if (skip < length) BulkCopy.Clear(new Span<byte>((byte*)piece.Address + skip, checked((int)(length - skip))));
            skip = Math.Max(0, skip - length);
        }
    }

    /// <summary>Copies bytes into the pieces, as far as they reach.</summary>
    /// <returns>The number of bytes copied.</returns>
    public int CopyFrom(ReadOnlySpan<byte> source)
    {
        var copied = 0;
        for (var i = 0; i < _count && copied < source.Length; i++)
        {
            var piece = this[i];
            var n = Math.Min(piece.Length, source.Length - copied);
            BulkCopy.Copy(source.Slice(copied, n), piece);
            copied += n;
        }
        return copied;
    }

    /// <summary>Copies bytes out of the pieces, as far as both reach.</summary>
    /// <returns>The number of bytes copied.</returns>
    public int CopyTo(Span<byte> target)
    {
        var copied = 0;
        for (var i = 0; i < _count && copied < target.Length; i++)
        {
            var piece = this[i];
            var n = Math.Min(piece.Length, target.Length - copied);
            BulkCopy.Copy(piece[..n], target[copied..]);
            copied += n;
        }
        return copied;
    }

    /// <summary>
    /// Fills the pieces from one stretch of memory, which may be gone, and has what will be wanted next fetched meanwhile
    /// where it is known and both are short. Only where <see cref="GuardedCopy"/> is supported.
    /// </summary>
    /// <param name="source">As many bytes as the pieces hold.</param>
    /// <param name="next">Where the next bytes lie; a hint, null where that is not known.</param>
    /// <returns>False when a page could not be had; the pieces hold anything then.</returns>
    internal bool TryFillFrom(byte* source, byte* next)
    {
        // More than that would push each other out of the nearest cache.
        const int aheadAtMost = 16 * 1024;
        if (TotalBytes > aheadAtMost) next = null;
        foreach (var piece in _pieces.AsSpan(0, _count))
        {
            var target = (byte*)piece.Address;
            if (!(next is null ? GuardedCopy.TryCopy(target, source, piece.Length) : GuardedCopy.TryCopy(target, source, piece.Length, next))) return false;
            source += piece.Length;
            if (next is not null) next += piece.Length;
        }
        return true;
    }

    /// <summary>Drops everything after the first <paramref name="bytes"/> bytes.</summary>
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

    /// <summary>Drops the first <paramref name="bytes"/> bytes, at most all: a header, or what a short transfer has already moved.</summary>
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

    internal ReadOnlySpan<IoVector> Pieces => _pieces.AsSpan(0, _count);
}
