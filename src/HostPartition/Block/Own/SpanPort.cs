using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Own;

/// <summary>The port driver of a <see cref="BlockDevice"/>: one call per contiguous piece of whole blocks. Any thread.</summary>
internal sealed class SpanPort(BlockDevice device, int concurrency, bool stableWrites) : OwnPort(device, concurrency)
{
    internal override void Read(IoVectors target, long offset) =>
        Call(nameof(Read), offset, target.TotalBytes, (Port: this, Pieces: target), static (call, offset, _) => call.Port.ReadPieces(call.Pieces, offset));

    internal override void Write(IoVectors source, long offset) =>
        Call(nameof(Write), offset, source.TotalBytes, (Port: this, Pieces: source), static (call, offset, _) => call.Port.WritePieces(call.Pieces, offset));

    internal override void Flush() => Call(nameof(Flush), 0, 0, device, static (device, _, _) => device.Flush());

    internal override bool TryDiscard(long offset, long bytes)
    {
        Call(nameof(BlockDevice.Discard), offset, bytes, device, static (device, offset, bytes) => device.Discard(offset, bytes));
        return true;
    }

    internal override bool TryUnmap(long offset, long bytes)
    {
        Call(nameof(WriteZeroes), offset, bytes, device, static (device, offset, bytes) => device.WriteZeroes(offset, bytes, mayDeallocate: true));
        return true;
    }

    internal override void WriteZeroes(long offset, long bytes) =>
        Call(nameof(WriteZeroes), offset, bytes, device, static (device, offset, bytes) => device.WriteZeroes(offset, bytes, mayDeallocate: false));

    private void ReadPieces(IoVectors target, long offset)
    {
        if (!HasWholeBlocks(target))
        {
            Copy(target, offset, device, static (device, pieces, buffer, offset) =>
            {
                device.Read(buffer.Span, offset);
                pieces.CopyFrom(buffer.Span);
            });
            return;
        }
        for (var i = 0; i < target.Count; i++)
        {
            var piece = target[i];
            device.Read(piece, offset);
            offset += piece.Length;
        }
    }

    private void WritePieces(IoVectors source, long offset)
    {
        if (stableWrites || !HasWholeBlocks(source))
        {
            Copy(source, offset, device, static (device, pieces, buffer, offset) =>
            {
                pieces.CopyTo(buffer.Span);
                device.Write(buffer.Span, offset);
            });
            return;
        }
        for (var i = 0; i < source.Count; i++)
        {
            ReadOnlySpan<byte> piece = source[i];
            device.Write(piece, offset);
            offset += piece.Length;
        }
    }
}
