using Microsoft.Extensions.ObjectPool;
using VmShunt.BlockDriver.Memory;

namespace VmShunt.BlockDriver.Requests;

/// <summary>
/// The class driver at the top of a stack, and the block API of applications: asynchronous requests on guest-memory
/// buffers, in sectors of 512 bytes, and calls that poll. Any thread; any number in flight; nothing is allocated per request.
/// </summary>
/// <remarks>
/// What awaits a request goes on where the driver noticed its completion: on the ring's or the interrupt's thread. It may
/// submit more from there, which is the fast way, but must not block.
/// <para>
/// A token calls a request back as long as no device has it: it ends at once, as cancelled and without any effect. What a
/// device has ends as it ends, and keeps its buffer until then. A request that a token may cancel allocates nothing either,
/// but the exception of one that was does; the methods that begin with Try have none.
/// </para>
/// </remarks>
public sealed class DiskClassDriver : IBlockDriver
{
    /// <summary>The unit of sector numbers.</summary>
    public const int SectorBytes = 512;

    /// <summary>The most bytes of one read or write; what every road can do in one request.</summary>
    internal const int MaxTransferBytes = 4 << 20;

    /// <summary>The most bytes of one <see cref="WriteZeroesAsync"/>; what every road can do in one request.</summary>
    public const int MaxWriteZeroesBytes = 1 << 20;

    private readonly StackLayers _layers;
    private readonly CrashGate _crash;
    private readonly ObjectPool<BlockRequest> _pool = new DefaultObjectPool<BlockRequest>(new DefaultPooledObjectPolicy<BlockRequest>(), 1024);
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

    /// <summary>What the disk is.</summary>
    public DiskGeometry Geometry => _layers.Lower.Geometry;

    /// <summary>What people call the stack that it is the top of.</summary>
    internal string StackName { get; init; } = "emulating";

    /// <summary>What its requests came to so far.</summary>
    public BlockCounters Counters => new(
        Interlocked.Read(ref _submitted),
        Interlocked.Read(ref _completed),
        Interlocked.Read(ref _failed),
        Interlocked.Read(ref _trapped),
        Interlocked.Read(ref _ringed),
        Interlocked.Read(ref _repeated),
        Interlocked.Read(ref _cancelled));

    /// <summary>Reads sectors into a buffer, whose length is a multiple of 512.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not on the disk, or the length is not possible.</exception>
    /// <exception cref="BlockIoException">When awaited: the device failed.</exception>
    /// <exception cref="OperationCanceledException">When awaited: it was cancelled before a device had it.</exception>
    public ValueTask ReadAsync(ulong sector, GuestBuffer buffer, CancellationToken cancel = default) =>
        Ask(BlockOperation.Read, sector, buffer.Length, buffer.Address, cancel);

    /// <summary>Writes a buffer, whose length is a multiple of 512. The buffer must not change until the task is done.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not on the disk, or the length is not possible.</exception>
    /// <exception cref="BlockIoException">When awaited: the device failed, or the disk is read-only.</exception>
    /// <exception cref="OperationCanceledException">When awaited: it was cancelled before a device had it.</exception>
    public ValueTask WriteAsync(ulong sector, GuestBuffer buffer, CancellationToken cancel = default) =>
        Ask(BlockOperation.Write, sector, buffer.Length, buffer.Address, cancel);

    /// <summary>Completes when every write that was completed before is durable, whichever road it took.</summary>
    /// <exception cref="BlockIoException">When awaited: the device failed.</exception>
    /// <exception cref="OperationCanceledException">When awaited: it was cancelled before a device had it.</exception>
    public ValueTask FlushAsync(CancellationToken cancel = default) => Ask(BlockOperation.Flush, 0, 0, 0, cancel);

    /// <summary>Gives a range back to the device; at most 1 GiB at once. What it reads as afterwards is the device's choice.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not on the disk, or the length is not possible.</exception>
    /// <exception cref="BlockIoException">When awaited: the device failed, or the disk is read-only.</exception>
    /// <exception cref="OperationCanceledException">When awaited: it was cancelled before a device had it.</exception>
    public ValueTask DiscardAsync(ulong sector, int bytes, CancellationToken cancel = default) => Ask(BlockOperation.Discard, sector, bytes, 0, cancel);

    /// <summary>Makes a range read as zeros and keeps its space; at most 1 MiB at once.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not on the disk, or the length is not possible.</exception>
    /// <exception cref="BlockIoException">When awaited: the device failed or cannot do it, or the disk is read-only.</exception>
    /// <exception cref="OperationCanceledException">When awaited: it was cancelled before a device had it.</exception>
    public ValueTask WriteZeroesAsync(ulong sector, int bytes, CancellationToken cancel = default) => Ask(BlockOperation.WriteZeroes, sector, bytes, 0, cancel);

    /// <summary><see cref="ReadAsync"/> that says how it ended instead of throwing, and so allocates nothing however it ends.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not on the disk, or the length is not possible.</exception>
    public ValueTask<BlockStatus> TryReadAsync(ulong sector, GuestBuffer buffer, CancellationToken cancel = default) =>
        TryAsk(BlockOperation.Read, sector, buffer.Length, buffer.Address, cancel);

    /// <summary><see cref="WriteAsync"/> that says how it ended instead of throwing, and so allocates nothing however it ends.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not on the disk, or the length is not possible.</exception>
    public ValueTask<BlockStatus> TryWriteAsync(ulong sector, GuestBuffer buffer, CancellationToken cancel = default) =>
        TryAsk(BlockOperation.Write, sector, buffer.Length, buffer.Address, cancel);

    /// <summary><see cref="FlushAsync"/> that says how it ended instead of throwing, and so allocates nothing however it ends.</summary>
    public ValueTask<BlockStatus> TryFlushAsync(CancellationToken cancel = default) => TryAsk(BlockOperation.Flush, 0, 0, 0, cancel);

    /// <summary>
    /// As <see cref="ReadAsync"/>, for the lowest latency at depth 1: the calling thread itself owns a virtqueue for the
    /// length of the call and polls it (<c>--poll-queues</c>). Where none is free, or the request takes another road, the
    /// thread sleeps until it has ended. Any thread that no completion runs on.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not on the disk, or the length is not possible.</exception>
    /// <exception cref="BlockIoException">The device failed.</exception>
    public void Read(ulong sector, GuestBuffer buffer) => Call(BlockOperation.Read, sector, buffer.Length, buffer.Address);

    /// <summary>As <see cref="WriteAsync"/>, polled as <see cref="Read"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not on the disk, or the length is not possible.</exception>
    /// <exception cref="BlockIoException">The device failed, or the disk is read-only.</exception>
    public void Write(ulong sector, GuestBuffer buffer) => Call(BlockOperation.Write, sector, buffer.Length, buffer.Address);

    /// <summary>As <see cref="FlushAsync"/>, polled as <see cref="Read"/>.</summary>
    /// <exception cref="BlockIoException">The device failed.</exception>
    public void Flush() => Call(BlockOperation.Flush, 0, 0, 0);

    /// <summary>Refuses requests from now on, and returns when those inside have ended. Not from a completion's thread.</summary>
    internal void Close()
    {
        Interlocked.Exchange(ref _isClosed, true);
        SpinWait.SpinUntil(() => Counters.InFlight == 0);
    }

    internal void NoteCompletion(RequestPath road, BlockStatus status)
    {
        if (status == BlockStatus.Cancelled) Interlocked.Increment(ref _cancelled);
        else if (road == RequestPath.Ring) Interlocked.Increment(ref _ringed);
        else Interlocked.Increment(ref _trapped);
        if (status is not (BlockStatus.Ok or BlockStatus.Cancelled)) Interlocked.Increment(ref _failed);
        Interlocked.Increment(ref _completed);
    }

    internal void NoteRepeatedCompletion() => Interlocked.Increment(ref _repeated);

    internal void Recycle(BlockRequest request) => _pool.Return(request);

    /// <summary>Takes a request from what is above.</summary>
    void IBlockDriver.Submit(BlockRequest request) => _layers.Lower.Submit(request);

    /// <summary>Throws where a request cannot be.</summary>
    internal void Check(BlockOperation operation, ulong sector, int bytes) => Check((_layers.Above ?? _layers.Lower).Geometry, operation, sector, bytes);

    /// <summary>Hands a batch's requests over, each by itself; what is at the bottom of the stack takes them as one.</summary>
    internal void Submit(BlockBatch batch, ReadOnlySpan<BlockBatch.Entry> entries, CancellationToken cancel)
    {
        _crash.ParkIfCrashed();
        var next = _layers.Above ?? _layers.Lower;
        Interlocked.Add(ref _submitted, entries.Length);
        if (_isClosed) Refuse(entries.Length);
        for (var i = 0; i < entries.Length; i++)
        {
            var request = _pool.Get();
            request.Begin(this, entries[i].Operation, entries[i].Sector, entries[i].Bytes, entries[i].Address);
            request.BelongTo(batch, i);
            request.CancelOn(cancel);
            next.Submit(request);
        }
    }

    private ValueTask Ask(BlockOperation operation, ulong sector, int bytes, ulong address, CancellationToken cancel) =>
        cancel.IsCancellationRequested ? ValueTask.FromCanceled(cancel) : Submit(operation, sector, bytes, address, cancel).Task;

    private ValueTask<BlockStatus> TryAsk(BlockOperation operation, ulong sector, int bytes, ulong address, CancellationToken cancel) =>
        cancel.IsCancellationRequested ? new(BlockStatus.Cancelled) : Submit(operation, sector, bytes, address, cancel).Outcome;

    private BlockRequest Submit(BlockOperation operation, ulong sector, int bytes, ulong address, CancellationToken cancel)
    {
        var next = Admit(operation, sector, bytes);
        var request = _pool.Get();
        request.Begin(this, operation, sector, bytes, address);
        request.CancelOn(cancel);
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

    /// <summary>Checks a request and counts it.</summary>
    /// <returns>Who takes it.</returns>
    private IBlockDriver Admit(BlockOperation operation, ulong sector, int bytes)
    {
        _crash.ParkIfCrashed();
        var next = _layers.Above ?? _layers.Lower;
        Check(next.Geometry, operation, sector, bytes);
        // Counted before it looks, so that whoever closes the driver waits for it, or it sees the driver closed.
        Interlocked.Increment(ref _submitted);
        if (_isClosed) Refuse(1);
        return next;
    }

    private void Refuse(int requests)
    {
        Interlocked.Add(ref _submitted, -requests);
        throw new StackRemovedException("this stack was removed; use another one on the same disk");
    }

    private static void Check(DiskGeometry geometry, BlockOperation operation, ulong sector, int bytes)
    {
        if (operation == BlockOperation.Flush) return;
        var most = operation switch
        {
            BlockOperation.Discard => 1 << 30,
            BlockOperation.WriteZeroes => MaxWriteZeroesBytes,
            _ => geometry.MaxTransferBytes,
        };
        if (bytes <= 0 || bytes % SectorBytes != 0 || bytes > most)
            throw new ArgumentOutOfRangeException(nameof(bytes), bytes, $"a {operation} takes a multiple of 512 bytes up to {most:n0}");
        var sectors = (ulong)(bytes / SectorBytes);
        if (sectors > geometry.SectorCount || sector > geometry.SectorCount - sectors)
            throw new ArgumentOutOfRangeException(nameof(sector), sector, $"{sectors} sectors from there are not on a disk of {geometry.SectorCount:n0}");
    }
}
