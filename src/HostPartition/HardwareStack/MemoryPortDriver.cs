using VmShunt.Ring.Memory;

namespace VmShunt.HostPartition.HardwareStack;

/// <summary>A disk in memory (<c>memory:SIZE</c>): what the roads cost when the device costs next to nothing.</summary>
internal sealed class MemoryPortDriver : PortDriver
{
    // An array holds less than 2 GiB, so a large disk is a row of chunks; they are touched, and so paid for, on use.
    private const int ChunkBytes = 1 << 30;
    private readonly byte[][] _chunks;

    internal MemoryPortDriver(long bytes)
    {
        Bytes = bytes;
        _chunks = new byte[(bytes + ChunkBytes - 1) / ChunkBytes][];
        for (var i = 0; i < _chunks.Length; i++)
            _chunks[i] = new byte[Math.Min(ChunkBytes, bytes - (long)i * ChunkBytes)];
    }

    internal override string Description => $"memory:{Bytes}";

    internal override long Bytes { get; }

    internal override bool IsQuick => true;

    internal override bool IsReadOnly => false;

    internal override void Read(IoVectors target, long offset)
    {
        for (var i = 0; i < target.Count; i++)
        {
            var piece = target[i];
            while (!piece.IsEmpty)
            {
                var source = At(offset, piece.Length);
                if (source.IsEmpty)
                {
                    piece.Clear();
                    break;
                }
                BulkCopy.Copy(source, piece);
                piece = piece[source.Length..];
                offset += source.Length;
            }
        }
    }

    internal override void Write(IoVectors source, long offset)
    {
        for (var i = 0; i < source.Count; i++)
        {
            ReadOnlySpan<byte> piece = source[i];
            while (!piece.IsEmpty)
            {
                var target = At(offset, piece.Length);
                if (target.IsEmpty) return;
                BulkCopy.Copy(piece[..target.Length], target);
                piece = piece[target.Length..];
                offset += target.Length;
            }
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
        while (bytes > 0)
        {
            var target = At(offset, (int)Math.Min(bytes, ChunkBytes));
            if (target.IsEmpty) break;
            target.Clear();
            offset += target.Length;
            bytes -= target.Length;
        }
    }

    public override void Dispose()
    {
        // The chunks belong to the collector.
    }

    private Span<byte> At(long offset, int wanted)
    {
        if (offset >= Bytes) return default;
        var chunk = _chunks[offset / ChunkBytes];
        var start = (int)(offset % ChunkBytes);
        return chunk.AsSpan(start, Math.Min(wanted, chunk.Length - start));
    }
}
