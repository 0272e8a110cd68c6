using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Extensions.ObjectPool;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Ring.Memory;

namespace VmShunt.BlockDriver;

/// <summary>
/// A disk of a vhost-user-blk back-end (qemu-storage-daemon, vmshunt-host, …), driven over virtqueues in memory of this
/// process. Any thread, any number of requests in flight; in steady state a request allocates nothing.
/// </summary>
/// <remarks>
/// <para>
/// Offsets and lengths are bytes, multiples of <see cref="LogicalBlockSize"/>, and inside <see cref="Length"/>. A call longer
/// than one request of the back-end is split, and is then not atomic. Requests in flight at the same time complete in any
/// order.
/// </para>
/// <para>
/// Rent buffers and reuse them: the back-end reads and writes rented memory in place. Other memory is copied, through a buffer
/// that is rented for the request.
/// </para>
/// <para>
/// A token ends the wait, not the request, because virtio cannot cancel one: whether a cancelled write has an effect is
/// unknown. The back-end keeps the buffer until it has completed the request, and a rented buffer that is disposed before is
/// recycled then. A cancelled read into memory that is not rented no longer writes there.
/// </para>
/// <para>When the back-end is lost the disk reconnects, and <see cref="BlockDiskOptions.OnDisconnect"/> decides about requests.</para>
/// </remarks>
/// <example>
/// <code>
/// await using var disk = await BlockDisk.ConnectAsync("disk.sock", stop);
/// using var buffer = disk.Rent(4096);
/// await disk.ReadAsync(buffer.Memory, offset: 0, stop);
/// </code>
/// </example>
public sealed class BlockDisk : IAsyncDisposable
{
    private readonly DiskConnection _connection;
    private readonly ObjectPool<DiskRequest> _requests;
    private readonly BlockQueue[] _queues;
    private readonly TimeSpan _drainTimeout;
    private readonly Lock _lock = new();
    private Task? _disposal;
    private long _copies;

    private BlockDisk(DiskConnection connection, BlockDiskOptions options, string serial)
    {
        _connection = connection;
        _requests = DiskRequest.CreatePool(connection, options.AllowSynchronousContinuations);
        _queues = [.. Enumerable.Range(0, connection.PolledQueues).Select(i => new BlockQueue(this, i, connection.RingOf(i)))];
        _drainTimeout = options.DrainTimeout;
        Serial = serial;
    }

    /// <summary>The disk's length in bytes. It may change while the disk is connected.</summary>
    public long Length => LengthOf(Geometry);

    /// <summary>The size in bytes of which offsets and lengths are multiples: a power of two from 512.</summary>
    public int LogicalBlockSize => Geometry.LogicalBlockBytes;

    /// <summary>Whether the back-end refuses writes.</summary>
    public bool IsReadOnly => Geometry.IsReadOnly;

    /// <summary>The disk's serial number, as it was when the disk was connected; empty if the back-end has none.</summary>
    public string Serial { get; }

    /// <summary>The longest read or write of one request, in bytes. Awaited calls may be longer, and are split.</summary>
    public int MaxTransferBytes => MostOf(Geometry);

    /// <summary>The number of queues for <see cref="Queue"/>; less than <see cref="BlockDiskOptions.PolledQueues"/> if the back-end offers fewer.</summary>
    public int PolledQueueCount => _queues.Length;

    /// <summary>How often the disk has reconnected.</summary>
    public int Reconnects => _connection.Reconnects;

    /// <summary>The reads and writes so far whose data was copied, because it was not in rented memory.</summary>
    public long CopiedRequests => Ordered.Load(ref _copies);

    internal DiskGeometry Geometry => _connection.Geometry;

    internal BufferPool Buffers => _connection.Buffers;

    internal bool FailsWhileLost => _connection.FailsWhileLost;

    internal bool IsDisposed => _connection.IsDisposed;

    /// <summary>Connects to the back-end that listens on a Unix socket.</summary>
    /// <param name="path">The socket.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>The disk, which the caller disposes.</returns>
    /// <exception cref="ArgumentException">The path is empty.</exception>
    /// <exception cref="IOException">No process listens there, it is not a vhost-user-blk back-end, or it lacks a feature that the options require.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public static Task<BlockDisk> ConnectAsync(string path, CancellationToken cancellationToken) => ConnectAsync(path, null, cancellationToken);

    /// <summary>Connects to the back-end that listens on a Unix socket.</summary>
    /// <param name="path">The socket.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>The disk, which the caller disposes.</returns>
    /// <exception cref="ArgumentException">The path is empty.</exception>
    /// <exception cref="IOException">No process listens there, it is not a vhost-user-blk back-end, or it lacks a feature that the options require.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public static Task<BlockDisk> ConnectAsync(string path, BlockDiskOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return ConnectCoreAsync(path, options ?? new BlockDiskOptions(), cancellationToken);
    }

    /// <summary>Rents a buffer in the memory that the back-end shares; requests on it are not copied.</summary>
    /// <param name="bytes">The length, from 1 byte to 1 GiB. The buffer starts at a page, and its size is rounded up to a power of two of pages.</param>
    /// <returns>The buffer, which is not cleared. Dispose it to recycle the memory.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The length is outside of that range.</exception>
    /// <exception cref="InvalidOperationException">The shared memory is used up (<see cref="BlockDiskOptions.SharedMemoryBytes"/>).</exception>
    /// <exception cref="ObjectDisposedException">The disk was disposed.</exception>
    public BlockBuffer Rent(int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, BufferPool.MaxBytes);
        ThrowIfDisposed();
        return new BlockBuffer(Buffers.Lend(bytes), bytes);
    }

    /// <summary>Reads from the disk.</summary>
    /// <param name="destination">Receives the bytes; in place if it is memory of a rented buffer of this disk, otherwise by a copy. Not to be used until the task completes.</param>
    /// <param name="offset">The first byte.</param>
    /// <param name="cancellationToken">Ends the wait, not the request.</param>
    /// <exception cref="ArgumentException">The length or the offset is not a multiple of <see cref="LogicalBlockSize"/>, or the range is empty or not on the disk.</exception>
    /// <exception cref="BlockDiskException">When awaited: the back-end failed, or was lost.</exception>
    /// <exception cref="InvalidOperationException">There is no shared memory for a copy.</exception>
    /// <exception cref="ObjectDisposedException">The disk or the buffer was disposed.</exception>
    /// <exception cref="OperationCanceledException">When awaited: the token was cancelled.</exception>
    public ValueTask ReadAsync(Memory<byte> destination, long offset, CancellationToken cancellationToken = default) =>
        Transfer(BlockOperation.Read, destination, offset, cancellationToken);

    /// <summary>Writes to the disk. The data is durable once a flush that is submitted after the completion has completed.</summary>
    /// <param name="source">The bytes; in place if it is memory of a rented buffer of this disk, which must not change until the task completes, otherwise by a copy, which is made before the call returns.</param>
    /// <param name="offset">The first byte.</param>
    /// <param name="cancellationToken">Ends the wait, not the request: the write may still take effect.</param>
    /// <exception cref="ArgumentException">The length or the offset is not a multiple of <see cref="LogicalBlockSize"/>, or the range is empty or not on the disk.</exception>
    /// <exception cref="BlockDiskException">When awaited: the back-end failed, or was lost. The content of the range is then undefined.</exception>
    /// <exception cref="InvalidOperationException">There is no shared memory for a copy.</exception>
    /// <exception cref="NotSupportedException">The disk is read-only.</exception>
    /// <exception cref="ObjectDisposedException">The disk or the buffer was disposed.</exception>
    /// <exception cref="OperationCanceledException">When awaited: the token was cancelled.</exception>
    public ValueTask WriteAsync(ReadOnlyMemory<byte> source, long offset, CancellationToken cancellationToken = default) =>
        Transfer(BlockOperation.Write, MemoryMarshal.AsMemory(source), offset, cancellationToken);

    /// <summary>Completes when every write that completed before the call is durable.</summary>
    /// <param name="cancellationToken">Ends the wait, not the request.</param>
    /// <exception cref="BlockDiskException">When awaited: the back-end failed, or was lost.</exception>
    /// <exception cref="ObjectDisposedException">The disk was disposed.</exception>
    /// <exception cref="OperationCanceledException">When awaited: the token was cancelled.</exception>
    public ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        ThrowIfDisposed();
        return Start(BlockOperation.Flush, default, 0, 0, cancellationToken);
    }

    /// <summary>Deallocates a range. What it reads as afterwards is the back-end's choice.</summary>
    /// <param name="offset">The first byte.</param>
    /// <param name="length">The length in bytes.</param>
    /// <param name="cancellationToken">Ends the wait, not the request.</param>
    /// <exception cref="ArgumentException">The length or the offset is not a multiple of <see cref="LogicalBlockSize"/>, or the range is empty or not on the disk.</exception>
    /// <exception cref="BlockDiskException">When awaited: the back-end failed, was lost, or does not implement it.</exception>
    /// <exception cref="NotSupportedException">The disk is read-only.</exception>
    /// <exception cref="ObjectDisposedException">The disk was disposed.</exception>
    /// <exception cref="OperationCanceledException">When awaited: the token was cancelled.</exception>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default) =>
        Change(BlockOperation.Discard, offset, length, cancellationToken);

    /// <summary>Makes a range read as zeros, without transferring them.</summary>
    /// <param name="offset">The first byte.</param>
    /// <param name="length">The length in bytes.</param>
    /// <param name="cancellationToken">Ends the wait, not the request.</param>
    /// <exception cref="ArgumentException">The length or the offset is not a multiple of <see cref="LogicalBlockSize"/>, or the range is empty or not on the disk.</exception>
    /// <exception cref="BlockDiskException">When awaited: the back-end failed, was lost, or does not implement it.</exception>
    /// <exception cref="NotSupportedException">The disk is read-only.</exception>
    /// <exception cref="ObjectDisposedException">The disk was disposed.</exception>
    /// <exception cref="OperationCanceledException">When awaited: the token was cancelled.</exception>
    public ValueTask WriteZeroesAsync(long offset, long length, CancellationToken cancellationToken = default) =>
        Change(BlockOperation.WriteZeroes, offset, length, cancellationToken);

    /// <summary>A virtqueue for one thread, which polls it. There are as many as <see cref="PolledQueueCount"/>.</summary>
    /// <param name="number">From 0. The same number returns the same queue.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such queue.</exception>
    /// <exception cref="ObjectDisposedException">The disk was disposed.</exception>
    public BlockQueue Queue(int number)
    {
        ThrowIfDisposed();
        if ((uint)number < (uint)_queues.Length) return _queues[number];
        throw new ArgumentOutOfRangeException(
            nameof(number), number,
            $"the disk has {_queues.Length} polled queues: set BlockDiskOptions.PolledQueues, and have the back-end offer as many queues besides BlockDiskOptions.Queues (qemu-storage-daemon: num-queues=)");
    }

    /// <summary>
    /// Waits for requests in flight, fails those that are still in flight after <see cref="BlockDiskOptions.DrainTimeout"/>,
    /// and disconnects. Writes that were not flushed may not be durable. Rented buffers may be disposed later. A second call
    /// returns when the first has completed.
    /// </summary>
    public ValueTask DisposeAsync()
    {
        lock (_lock)
        {
            // Not on the calling thread, which may be a virtqueue's.
            return new ValueTask(_disposal ??= Task.Run(() => _connection.Dispose(_drainTimeout)));
        }
    }

    internal void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(_connection.IsDisposed, this);

    internal PolledQueue RingOf(int number) => _connection.RingOf(number);

    internal BlockStatus? StatusWithoutDevice(BlockOperation operation) => _connection.StatusWithoutDevice(operation);

    /// <summary>Throws if a request is invalid.</summary>
    internal DiskGeometry CheckRequest(BlockOperation operation, long offset, long length)
    {
        var geometry = Geometry;
        var block = geometry.LogicalBlockBytes;
        if (length <= 0 || length % block != 0)
            throw new ArgumentOutOfRangeException(nameof(length), length, $"{BlockDiskException.Name(operation)} has a length of one or more logical blocks of {block} bytes");
        if (offset < 0 || offset % block != 0)
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"{BlockDiskException.Name(operation)} starts at a multiple of the logical block size of {block} bytes");
        if (length > LengthOf(geometry) || offset > LengthOf(geometry) - length)
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"{length:n0} bytes from there are not on a disk of {LengthOf(geometry):n0} bytes");
        if (operation != BlockOperation.Read && geometry.IsReadOnly)
            throw new NotSupportedException("the disk is read-only (VIRTIO_BLK_F_RO); export it as writable to change it");
        return geometry;
    }

    private static long LengthOf(DiskGeometry geometry) => (long)Math.Min(geometry.SectorCount, long.MaxValue / DiskGeometry.SectorBytes) * DiskGeometry.SectorBytes;

    private static int MostOf(DiskGeometry geometry) => geometry.MaxTransferBytes / geometry.LogicalBlockBytes * geometry.LogicalBlockBytes;

    private static async Task<BlockDisk> ConnectCoreAsync(string path, BlockDiskOptions options, CancellationToken cancellationToken)
    {
        var connection = await DiskConnection.OpenAsync(path, options, cancellationToken).ConfigureAwait(false);
        try
        {
            return new BlockDisk(connection, options, await connection.ReadSerialAsync(cancellationToken).ConfigureAwait(false));
        }
        catch
        {
            // In the background: a back-end that does not answer is waited for.
            _ = Task.Run(() => connection.Dispose(drainTimeout: null), CancellationToken.None);
            throw;
        }
    }

    private ValueTask Transfer(BlockOperation operation, Memory<byte> data, long offset, CancellationToken cancel)
    {
        ThrowIfDisposed();
        var most = MostOf(CheckRequest(operation, offset, data.Length));
        return data.Length <= most ? Start(operation, data, offset, data.Length, cancel) : TransferSplit(operation, data, offset, most, cancel);
    }

    private ValueTask Change(BlockOperation operation, long offset, long length, CancellationToken cancel)
    {
        ThrowIfDisposed();
        var geometry = CheckRequest(operation, offset, length);
        var most = operation == BlockOperation.Discard ? geometry.MaxDiscardBytes : geometry.MaxWriteZeroesBytes;
        most = Math.Max(most / geometry.LogicalBlockBytes, 1) * geometry.LogicalBlockBytes;
        return length <= most ? Start(operation, default, offset, (int)length, cancel) : ChangeSplit(operation, offset, length, most, cancel);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask TransferSplit(BlockOperation operation, Memory<byte> data, long offset, int most, CancellationToken cancel)
    {
        while (!data.IsEmpty)
        {
            var piece = data[..Math.Min(most, data.Length)];
            await Start(operation, piece, offset, piece.Length, cancel).ConfigureAwait(false);
            offset += piece.Length;
            data = data[piece.Length..];
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask ChangeSplit(BlockOperation operation, long offset, long length, int most, CancellationToken cancel)
    {
        for (int piece; length > 0; offset += piece, length -= piece)
        {
            piece = (int)Math.Min(most, length);
            await Start(operation, default, offset, piece, cancel).ConfigureAwait(false);
        }
    }

    private ValueTask Start(BlockOperation operation, Memory<byte> data, long offset, int bytes, CancellationToken cancel)
    {
        if (cancel.IsCancellationRequested) return ValueTask.FromCanceled(cancel);
        ThrowIfDisposed();
        var request = _requests.Get();
        try
        {
            var (address, isCopied) = data.IsEmpty ? default : request.Attach(Buffers, operation, data);
            if (isCopied) Interlocked.Increment(ref _copies);
            return request.Submit(operation, (ulong)offset / DiskGeometry.SectorBytes, bytes, address, cancel);
        }
        catch
        {
            request.Abort();
            throw;
        }
    }
}
