using System.Diagnostics.CodeAnalysis;
using System.Threading.Tasks.Sources;
using Microsoft.Extensions.ObjectPool;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;

namespace VmShunt.BlockDriver;

/// <summary>
/// An awaited request of a <see cref="BlockDisk"/>. Its token ends the wait and not the request: the buffer stays held until
/// the back-end has returned it. Pooled; it is recycled when its awaiter has the result and the ring has released it.
/// </summary>
internal sealed class DiskRequest : BlockRequest, IValueTaskSource
{
    private const int Holders = 2;

    // More requests than that in flight are collected by the garbage collector.
    private const int Kept = 1024;

    private const int Pending = 0, Completed = 1, Cancelled = 2;

    private readonly DiskConnection _connection;
    private readonly ObjectPool<DiskRequest> _pool;
    private ManualResetValueTaskSourceCore<BlockStatus> _result;
    private PooledBuffer? _buffer;
    private Memory<byte> _copyTo;
    private CancellationToken _cancel;
    private CancellationTokenRegistration _registration;
    private int _outcome;
    private int _holders;
    private bool _isAwaited;

    private DiskRequest(DiskConnection connection, ObjectPool<DiskRequest> pool, bool runsContinuationsInline)
    {
        _connection = connection;
        _pool = pool;
        _result.RunContinuationsAsynchronously = !runsContinuationsInline;
    }

    /// <summary>Makes the pool of one disk's requests.</summary>
    /// <param name="connection">Takes the requests.</param>
    /// <param name="runsContinuationsInline">Whether the code after an await runs on the thread that found the completion.</param>
    internal static ObjectPool<DiskRequest> CreatePool(DiskConnection connection, bool runsContinuationsInline)
    {
        var policy = new Policy(connection, runsContinuationsInline);
        return policy.Pool = new DefaultObjectPool<DiskRequest>(policy, Kept);
    }

    /// <summary>Attaches the data: rented memory as it is, other memory by a copy.</summary>
    /// <returns>The guest-physical address, and whether data is copied.</returns>
    internal (ulong Address, bool IsCopied) Attach(BufferPool buffers, BlockOperation operation, Memory<byte> data)
    {
        if (buffers.TryHold(data, out _buffer, out var address)) return (address, false);
        _buffer = buffers.Lend(data.Length);
        if (operation == BlockOperation.Write) data.Span.CopyTo(_buffer.Bytes);
        else _copyTo = data;
        return (_buffer.Address, true);
    }

    /// <summary>Submits the request.</summary>
    internal ValueTask Submit(BlockOperation operation, ulong sector, int bytes, ulong address, CancellationToken cancel)
    {
        _outcome = Pending;
        _holders = Holders;
        var task = new ValueTask(this, _result.Version);
        if (cancel.CanBeCanceled)
        {
            _cancel = cancel;
            _registration = cancel.UnsafeRegister(static request => ((DiskRequest)request!).EndWait(), this);
        }
        Begin(operation, sector, bytes, address);
        _connection.Submit(this);
        return task;
    }

    /// <summary>Releases what the request holds after its submission has failed. It is not used again.</summary>
    internal void Abort()
    {
        _registration.Dispose();
        ReleaseBuffer();
    }

    void IValueTaskSource.GetResult(short token)
    {
        Check(token);
        _isAwaited = true;
        var status = _result.GetResult(token);
        Exception? failure = status switch
        {
            BlockStatus.Ok => null,
            BlockStatus.Cancelled => new OperationCanceledException(_cancel),
            _ => new BlockDiskException(Operation, (long)Sector * DiskGeometry.SectorBytes, Bytes, status),
        };
        Release();
        if (failure is not null) throw failure;
    }

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token)
    {
        Check(token);
        return _result.GetStatus(token);
    }

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _result.OnCompleted(continuation, state, token, flags);

    /// <summary>The back-end has returned the request.</summary>
    protected override void End(BlockStatus status)
    {
        _connection.NoteCompletion();
        var isAwaited = Interlocked.CompareExchange(ref _outcome, Completed, Pending) == Pending;
        if (isAwaited)
        {
            // Waits for a callback of the token that has lost the race, or it would cancel the object's next request.
            _registration.Dispose();
            if (status == BlockStatus.Ok && !_copyTo.IsEmpty) _buffer!.Bytes[.._copyTo.Length].CopyTo(_copyTo.Span);
        }
        ReleaseBuffer();
        if (isAwaited) _result.SetResult(status);
        Release();
    }

    private void Check(short token)
    {
        if (token != _result.Version || _isAwaited) ThrowAwaited();
    }

    [DoesNotReturn]
    private static void ThrowAwaited() =>
        throw new InvalidOperationException("the task of this request was awaited before, and its object may serve another request: await a ValueTask once, or keep its AsTask()");

    private void EndWait()
    {
        if (Interlocked.CompareExchange(ref _outcome, Cancelled, Pending) == Pending) _result.SetResult(BlockStatus.Cancelled);
    }

    private void ReleaseBuffer()
    {
        _buffer?.Release();
        _buffer = null;
    }

    private void Release()
    {
        if (Interlocked.Decrement(ref _holders) != 0) return;
        Reset();
        _result.Reset();
        _copyTo = default;
        _cancel = default;
        _registration = default;
        _isAwaited = false;
        _pool.Return(this);
    }

    private sealed class Policy(DiskConnection connection, bool runsContinuationsInline) : PooledObjectPolicy<DiskRequest>
    {
        internal ObjectPool<DiskRequest>? Pool { get; set; }

        public override DiskRequest Create() => new(connection, Pool!, runsContinuationsInline);

        public override bool Return(DiskRequest obj) => true;
    }
}
