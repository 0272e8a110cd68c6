using System.Buffers;
using System.Runtime.CompilerServices;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockBackend.Own;

/// <summary>
/// The port driver of an <see cref="AsyncBlockDevice"/>. Rings use its queues; the trap path, flushes and what a queue
/// rejects wait for the task. Any thread.
/// </summary>
internal sealed class TaskPort(AsyncBlockDevice device, TimeSpan drainTimeout, bool detectsMisuse) : OwnPort(device, int.MaxValue)
{
    /// <summary>How long a request may take after its queue stopped.</summary>
    internal TimeSpan DrainTimeout => drainTimeout;

    /// <summary>Whether the memory of a completed request stays unusable, instead of being reused for a later one.</summary>
    internal bool DetectsMisuse => detectsMisuse;

    internal override AsyncIoQueue? TryOpenQueue(int depth, GuestMemory memory) => new TaskQueue(this, depth, memory);

    internal override void Read(IoVectors target, long offset) => Run(nameof(AsyncBlockDevice.ReadAsync), target, offset, isWrite: false);

    internal override void Write(IoVectors source, long offset) => Run(nameof(AsyncBlockDevice.WriteAsync), source, offset, isWrite: true);

    internal override void Flush() => Call(nameof(AsyncBlockDevice.FlushAsync), 0, 0, device, static (device, _, _) => Wait(device.FlushAsync(default)));

    internal override bool TryDiscard(long offset, long bytes)
    {
        Call(nameof(AsyncBlockDevice.DiscardAsync), offset, bytes, device, static (device, offset, bytes) => Wait(device.DiscardAsync(offset, bytes, default)));
        return true;
    }

    internal override bool TryUnmap(long offset, long bytes)
    {
        Call(nameof(AsyncBlockDevice.WriteZeroesAsync), offset, bytes, device, static (device, offset, bytes) => Wait(device.WriteZeroesAsync(offset, bytes, true, default)));
        return true;
    }

    internal override void WriteZeroes(long offset, long bytes) =>
        Call(nameof(AsyncBlockDevice.WriteZeroesAsync), offset, bytes, device, static (device, offset, bytes) => Wait(device.WriteZeroesAsync(offset, bytes, false, default)));

    /// <summary>Starts a request; the pieces must not change until it completes.</summary>
    /// <param name="pieces">The guest's memory.</param>
    /// <param name="offset">The first byte on the disk.</param>
    /// <param name="isWrite">Whether it is a write.</param>
    /// <param name="memory">Carries each piece in turn.</param>
    /// <param name="cancellationToken">Passed to the disk.</param>
    internal ValueTask TransferAsync(IoVectors pieces, long offset, bool isWrite, PieceMemory memory, CancellationToken cancellationToken)
    {
        if (pieces.Count != 1 || !HasWholeBlocks(pieces)) return TransferPiecesAsync(pieces, offset, isWrite, memory, cancellationToken);
        var piece = memory.Attach(pieces, 0);
        return isWrite ? device.WriteAsync(piece, offset, cancellationToken) : device.ReadAsync(piece, offset, cancellationToken);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask TransferPiecesAsync(IoVectors pieces, long offset, bool isWrite, PieceMemory memory, CancellationToken cancellationToken)
    {
        if (!HasWholeBlocks(pieces))
        {
            await TransferCopyAsync(pieces, offset, isWrite, cancellationToken).ConfigureAwait(false);
            return;
        }
        for (var i = 0; i < pieces.Count; i++)
        {
            var piece = memory.Attach(pieces, i);
            if (isWrite) await device.WriteAsync(piece, offset, cancellationToken).ConfigureAwait(false);
            else await device.ReadAsync(piece, offset, cancellationToken).ConfigureAwait(false);
            offset += piece.Length;
        }
    }

    private async ValueTask TransferCopyAsync(IoVectors pieces, long offset, bool isWrite, CancellationToken cancellationToken)
    {
        CountCopy();
        var total = pieces.TotalBytes;
        var buffer = ArrayPool<byte>.Shared.Rent((int)total);
        var bytes = buffer.AsMemory(0, (int)total);
        if (isWrite)
        {
            pieces.CopyTo(bytes.Span);
            await device.WriteAsync(bytes, offset, cancellationToken).ConfigureAwait(false);
        }
        else
        {
            await device.ReadAsync(bytes, offset, cancellationToken).ConfigureAwait(false);
            pieces.CopyFrom(bytes.Span);
        }
        // Not after a failure: the disk may still use it.
        ArrayPool<byte>.Shared.Return(buffer);
    }

    private void Run(string member, IoVectors pieces, long offset, bool isWrite) =>
        Call(member, offset, pieces.TotalBytes, (Port: this, Pieces: pieces, IsWrite: isWrite), static (call, offset, _) =>
        {
            var memory = new PieceMemory();
            try
            {
                Wait(call.Port.TransferAsync(call.Pieces, offset, call.IsWrite, memory, default));
            }
            finally
            {
                memory.Detach();
            }
        });

    private static void Wait(ValueTask task)
    {
        if (task.IsCompletedSuccessfully) task.GetAwaiter().GetResult();
        else task.AsTask().GetAwaiter().GetResult();
    }
}
