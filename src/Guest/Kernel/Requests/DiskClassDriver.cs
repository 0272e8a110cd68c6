using Microsoft.Extensions.ObjectPool;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Memory;

namespace VmShunt.Guest.Requests;

/// <summary>
/// The class driver at the top of a stack, and the block API of applications: asynchronous and polled requests on
/// guest-memory buffers, in sectors of 512 bytes. Any thread, any number in flight; no allocation per request.
/// </summary>
/// <remarks>
/// A continuation runs inline on the thread that saw the completion: the queue's or the interrupt's. It may submit more
/// requests, which is the fastest way, but must not block.
/// <para>
/// A token cancels a request until a device has it. The request then completes at once as cancelled, without any effect. A
/// request that a device has completes with the device's status and keeps its buffer until then. Cancellable requests
/// allocate nothing either, except for the exception of a cancelled one; the methods named Try return a status instead.
/// </para>
/// </remarks>
internal sealed class DiskClassDriver : IBlockDriver
{
    /// <summary>The unit of sector numbers.</summary>
    public const int SectorBytes = DiskGeometry.SectorBytes;

    /// <summary>The most bytes of one read or write; a limit that every path supports.</summary>
    internal const int MaxTransferBytes = DiskGeometry.LongestTransferBytes;

    /// <summary>The most bytes of one <see cref="DiscardAsync"/>; a limit that every path supports.</summary>
    internal const int MaxDiscardBytes = DiskGeometry.LongestDiscardBytes;

    /// <summary>The most bytes of one <see cref="WriteZeroesAsync"/>; a limit that every path supports.</summary>
    public const int MaxWriteZeroesBytes = DiskGeometry.LongestWriteZeroesBytes;

    private readonly StackLayers _layers;
    private readonly CrashGate _crash;
    private readonly ObjectPool<ClassRequest> _pool = new DefaultObjectPool<ClassRequest>(new DefaultPooledObjectPolicy<ClassRequest>(), 1024);
    private long _submitted, _completed, _failed, _trapped, _ringed, _repeated, _cancelled;
    private bool _isClosed;

    internal DiskClassDriver(StackLayers layers, CrashGate crash)
    {
        _layers = layers;
        _crash = crash;
    }

    internal DiskClassDriver(IBlockDriver lower, CrashGate crash)
        : this(new StackLayers(lower), crash)
    {
    }

    /// <summary>The disk's geometry.</summary>
    public DiskGeometry Geometry => _layers.Lower.Geometry;

    /// <summary>The name of its stack in traces and events.</summary>
    internal string StackName { get; init; } = "emulating";

    /// <summary>The request counters so far.</summary>
    public BlockCounters Counters => new(
        Ordered.Load(ref _submitted),
        Ordered.Load(ref _completed),
        Ordered.Load(ref _failed),
        Ordered.Load(ref _trapped),
        Ordered.Load(ref _ringed),
        Ordered.Load(ref _repeated),
        Ordered.Load(ref _cancelled));

    /// <summary>Reads sectors into a buffer whose length is a multiple of 512.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not on the disk, or the length is invalid.</exception>
    /// <exception cref="BlockIoException">When awaited: the device failed.</exception>
    /// <exception cref="OperationCanceledException">When awaited: the request was cancelled before a device had it.</exception>
    public ValueTask ReadAsync(ulong sector, GuestBuffer buffer, CancellationToken cancel = default) =>
        Ask(BlockOperation.Read, sector, buffer.Length, buffer.Address, cancel);

    /// <summary>Writes a buffer whose length is a multiple of 512. The buffer must not change until the task completes.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not on the disk, or the length is invalid.</exception>
    /// <exception cref="BlockIoException">When awaited: the device failed, or the disk is read-only.</exception>
    /// <exception cref="OperationCanceledException">When awaited: the request was cancelled before a device had it.</exception>
    public ValueTask WriteAsync(ulong sector, GuestBuffer buffer, CancellationToken cancel = default) =>
        Ask(BlockOperation.Write, sector, buffer.Length, buffer.Address, cancel);

    /// <summary>Completes when every write that completed before is durable, whichever path it took.</summary>
    /// <exception cref="BlockIoException">When awaited: the device failed.</exception>
    /// <exception cref="OperationCanceledException">When awaited: the request was cancelled before a device had it.</exception>
    public ValueTask FlushAsync(CancellationToken cancel = default) => Ask(BlockOperation.Flush, 0, 0, 0, cancel);

    /// <summary>Deallocates a range of at most 1 GiB. What it reads as afterwards is the device's choice.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not on the disk, or the length is invalid.</exception>
    /// <exception cref="BlockIoException">When awaited: the device failed, or the disk is read-only.</exception>
    /// <exception cref="OperationCanceledException">When awaited: the request was cancelled before a device had it.</exception>
    public ValueTask DiscardAsync(ulong sector, int bytes, CancellationToken cancel = default) => Ask(BlockOperation.Discard, sector, bytes, 0, cancel);

    /// <summary>Makes a range of at most 1 MiB read as zeros. It stays allocated.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not on the disk, or the length is invalid.</exception>
    /// <exception cref="BlockIoException">When awaited: the device failed or does not implement it, or the disk is read-only.</exception>
    /// <exception cref="OperationCanceledException">When awaited: the request was cancelled before a device had it.</exception>
    public ValueTask WriteZeroesAsync(ulong sector, int bytes, CancellationToken cancel = default) => Ask(BlockOperation.WriteZeroes, sector, bytes, 0, cancel);

    /// <summary><see cref="ReadAsync"/> that returns a status instead of throwing, so it never allocates.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not on the disk, or the length is invalid.</exception>
    public ValueTask<BlockStatus> TryReadAsync(ulong sector, GuestBuffer buffer, CancellationToken cancel = default) =>
        TryAsk(BlockOperation.Read, sector, buffer.Length, buffer.Address, cancel);

    /// <summary><see cref="WriteAsync"/> that returns a status instead of throwing, so it never allocates.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not on the disk, or the length is invalid.</exception>
    public ValueTask<BlockStatus> TryWriteAsync(ulong sector, GuestBuffer buffer, CancellationToken cancel = default) =>
        TryAsk(BlockOperation.Write, sector, buffer.Length, buffer.Address, cancel);

    /// <summary><see cref="FlushAsync"/> that returns a status instead of throwing, so it never allocates.</summary>
    public ValueTask<BlockStatus> TryFlushAsync(CancellationToken cancel = default) => TryAsk(BlockOperation.Flush, 0, 0, 0, cancel);

    /// <summary>
    /// As <see cref="ReadAsync"/>, for the lowest latency at depth 1: the calling thread owns a virtqueue for the duration
    /// of the call and polls it (<c>--poll-queues</c>). If no queue is free, or the request takes another path, the thread
    /// blocks until completion. Not from a continuation.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not on the disk, or the length is invalid.</exception>
    /// <exception cref="BlockIoException">The device failed.</exception>
    public void Read(ulong sector, GuestBuffer buffer) => Call(BlockOperation.Read, sector, buffer.Length, buffer.Address);

    /// <summary>As <see cref="WriteAsync"/>, polled as <see cref="Read"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not on the disk, or the length is invalid.</exception>
    /// <exception cref="BlockIoException">The device failed, or the disk is read-only.</exception>
    public void Write(ulong sector, GuestBuffer buffer) => Call(BlockOperation.Write, sector, buffer.Length, buffer.Address);

    /// <summary>As <see cref="FlushAsync"/>, polled as <see cref="Read"/>.</summary>
    /// <exception cref="BlockIoException">The device failed.</exception>
    public void Flush() => Call(BlockOperation.Flush, 0, 0, 0);

    /// <summary>Rejects further requests and returns when those in flight have completed. Not from a continuation.</summary>
    internal void Close()
    {
        // A full barrier before the counters are read, as a submitter counts before it reads the flag.
        Interlocked.Exchange(ref _isClosed, true);
        SpinWait.SpinUntil(() => Counters.InFlight == 0);
    }

    internal void NoteCompletion(RequestPath path, BlockStatus status)
    {
        if (status == BlockStatus.Cancelled) Interlocked.Increment(ref _cancelled);
        else if (path == RequestPath.Ring) Interlocked.Increment(ref _ringed);
        else Interlocked.Increment(ref _trapped);
        if (status is not (BlockStatus.Ok or BlockStatus.Cancelled)) Interlocked.Increment(ref _failed);
        Interlocked.Increment(ref _completed);
    }

    internal void NoteRepeatedCompletion() => Interlocked.Increment(ref _repeated);

    internal void Recycle(ClassRequest request) => _pool.Return(request);

    /// <summary>A request from the layer above, which has checked and counted it.</summary>
    void IBlockDriver.Submit(BlockRequest request) => _layers.Lower.Submit(request);

    /// <summary>Throws if a request is invalid.</summary>
    internal void Check(BlockOperation operation, ulong sector, int bytes) => Check((_layers.Above ?? _layers.Lower).Geometry, operation, sector, bytes);

    /// <summary>Submits a batch's requests one by one; the driver at the bottom of the stack coalesces them.</summary>
    internal void Submit(BlockBatch batch, ReadOnlySpan<BlockBatch.Entry> entries, CancellationToken cancel)
    {
        _crash.ParkIfCrashed();
        var next = _layers.Above ?? _layers.Lower;
        Interlocked.Add(ref _submitted, entries.Length);
        if (Ordered.Load(ref _isClosed)) Reject(entries.Length);
        for (var i = 0; i < entries.Length; i++)
        {
            var request = _pool.Get();
            request.AttachTo(batch, i);
            request.Begin(this, entries[i].Operation, entries[i].Sector, entries[i].Bytes, entries[i].Address, cancel);
            next.Submit(request);
        }
    }

    private ValueTask Ask(BlockOperation operation, ulong sector, int bytes, ulong address, CancellationToken cancel) =>
        cancel.IsCancellationRequested ? ValueTask.FromCanceled(cancel) : Submit(operation, sector, bytes, address, cancel).Task;

    private ValueTask<BlockStatus> TryAsk(BlockOperation operation, ulong sector, int bytes, ulong address, CancellationToken cancel) =>
        cancel.IsCancellationRequested ? new(BlockStatus.Cancelled) : Submit(operation, sector, bytes, address, cancel).Outcome;

    private ClassRequest Submit(BlockOperation operation, ulong sector, int bytes, ulong address, CancellationToken cancel)
    {
        var next = Admit(operation, sector, bytes);
        var request = _pool.Get();
        request.Begin(this, operation, sector, bytes, address, cancel);
        next.Submit(request);
        return request;
    }

    private void Call(BlockOperation operation, ulong sector, int bytes, ulong address)
    {
        var next = Admit(operation, sector, bytes);
        var request = PolledRequest.BeginOwn(this, operation, sector, bytes, address);
        next.Submit(request);
        var status = request.Wait(_crash);
        if (status != BlockStatus.Ok) throw new BlockIoException(operation, sector, bytes, status);
    }

    /// <summary>Checks and counts a request.</summary>
    /// <returns>The driver to submit it to.</returns>
    private IBlockDriver Admit(BlockOperation operation, ulong sector, int bytes)
    {
        _crash.ParkIfCrashed();
        var next = _layers.Above ?? _layers.Lower;
        Check(next.Geometry, operation, sector, bytes);
        // Counted before the flag is read: Close either waits for this request, or this thread sees the flag.
        Interlocked.Increment(ref _submitted);
        if (Ordered.Load(ref _isClosed)) Reject(1);
        return next;
    }

    private void Reject(int requests)
    {
        Interlocked.Add(ref _submitted, -requests);
        throw new StackRemovedException("this stack was removed; use another one on the same disk");
    }

    private static void Check(DiskGeometry geometry, BlockOperation operation, ulong sector, int bytes)
    {
        if (operation == BlockOperation.Flush) return;
        var most = operation switch
        {
            BlockOperation.Discard => MaxDiscardBytes,
            BlockOperation.WriteZeroes => MaxWriteZeroesBytes,
            _ => geometry.MaxTransferBytes,
        };
        var block = geometry.LogicalBlockBytes;
        if (bytes <= 0 || bytes > most)
            throw new ArgumentOutOfRangeException(nameof(bytes), bytes, $"a {operation} must be a multiple of {block} bytes, at most {most:n0}");
        // A device may fail what is not in whole blocks, with no more than an I/O error to say so.
        if (bytes % block != 0 || sector % (ulong)(block / SectorBytes) != 0)
            throw new ArgumentOutOfRangeException(nameof(bytes), bytes, $"the disk has logical blocks of {block} bytes: a {operation} starts at a multiple of {block / SectorBytes} sectors and is a multiple of {block} bytes long, not {bytes} bytes at sector {sector}");
        var sectors = (ulong)(bytes / SectorBytes);
        if (sectors > geometry.SectorCount || sector > geometry.SectorCount - sectors)
            throw new ArgumentOutOfRangeException(nameof(sector), sector, $"{sectors} sectors from there are not on a disk of {geometry.SectorCount:n0} sectors");
    }
}
