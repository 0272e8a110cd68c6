using VmShunt.Ring.Memory;

namespace VmShunt.Ring.Serving;

/// <summary>The device-writable buffers of a chain. Each is one contiguous piece of guest memory.</summary>
public readonly ref struct WritableBuffers
{
    private readonly ReadOnlySpan<MemoryWindow> _pieces;

    internal WritableBuffers(ReadOnlySpan<MemoryWindow> pieces) => _pieces = pieces;

    /// <summary>The number of pieces.</summary>
    public int Count => _pieces.Length;

    /// <summary>The sum of their lengths, in bytes.</summary>
    public long TotalBytes
    {
        get
        {
            var bytes = 0L;
            foreach (var piece in _pieces) bytes += piece.Length;
            return bytes;
        }
    }

    /// <summary>One piece.</summary>
    public Span<byte> this[int index] => _pieces[index].Span;

    /// <summary>Copies bytes in, up to the shorter of both.</summary>
    /// <returns>The number of bytes copied.</returns>
    public int CopyFrom(ReadOnlySpan<byte> source)
    {
        var copied = 0;
        foreach (var piece in _pieces)
        {
            var n = Math.Min(piece.Length, source.Length - copied);
            BulkCopy.Copy(source.Slice(copied, n), piece.Span);
            copied += n;
        }
        return copied;
    }

    /// <summary>Enumerates the pieces.</summary>
    public Enumerator GetEnumerator() => new(_pieces);

    /// <summary>Enumerates the pieces.</summary>
    public ref struct Enumerator
    {
        private readonly ReadOnlySpan<MemoryWindow> _pieces;
        private int _index;

        internal Enumerator(ReadOnlySpan<MemoryWindow> pieces)
        {
            _pieces = pieces;
            _index = -1;
        }

        /// <summary>The current piece.</summary>
        public readonly Span<byte> Current => _pieces[_index].Span;

        /// <summary>Moves to the next piece.</summary>
        public bool MoveNext() => ++_index < _pieces.Length;
    }
}
