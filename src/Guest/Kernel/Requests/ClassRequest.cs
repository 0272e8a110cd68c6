using System.Threading.Tasks.Sources;
using Microsoft.Extensions.ObjectPool;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Requests;

/// <summary>
/// A request of an application to a class driver. Pooled: awaiting its task returns it to the pool. It is on one path at a
/// time and completes exactly once.
/// </summary>
internal class ClassRequest : BlockRequest, IValueTaskSource, IValueTaskSource<BlockStatus>, IResettable
{
    // Of a cancelled request: its awaiter, and the driver that queues it. The last to release it recycles the object.
    private const int Holders = 2;

    private ManualResetValueTaskSourceCore<BlockStatus> _completion;
    private DiskClassDriver? _owner;
    private BlockBatch? _batch;
    private int _index;
    private int _released;

    /// <summary>Its completion; throws on error.</summary>
    internal ValueTask Task => new(this, _completion.Version);

    /// <summary>Its completion; returns the status.</summary>
    internal ValueTask<BlockStatus> Outcome => new(this, _completion.Version);

    internal void Begin(DiskClassDriver owner, BlockOperation operation, ulong sector, int bytes, ulong address, CancellationToken cancel = default)
    {
        _owner = owner;
        Begin(operation, sector, bytes, address);
        if (RequestTrace.IsEnabled) BeginTrace(owner.StackName);
        CancelOn(cancel);
    }

    /// <summary>Makes its completion part of a batch.</summary>
    internal void AttachTo(BlockBatch batch, int index) => (_batch, _index) = (batch, index);

    public void GetResult(short token)
    {
        var status = _completion.GetResult(token);
        Exception? failure = status switch
        {
            BlockStatus.Ok => null,
            BlockStatus.Cancelled => new OperationCanceledException(Cancellation),
            _ => new BlockIoException(Operation, Sector, Bytes, status),
        };
        Release(status);
        if (failure is not null) throw failure;
    }

    BlockStatus IValueTaskSource<BlockStatus>.GetResult(short token)
    {
        var status = _completion.GetResult(token);
        Release(status);
        return status;
    }

    public ValueTaskSourceStatus GetStatus(short token) => _completion.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _completion.OnCompleted(continuation, state, token, flags);

    public bool TryReset()
    {
        _completion.Reset();
        Reset();
        _batch = null;
        _released = 0;
        return true;
    }

    /// <summary>Counts and traces the completion, then signals it.</summary>
    protected override void End(BlockStatus status)
    {
        _owner!.NoteCompletion(RequestPath, status);
        // A driver may still queue a cancelled request; its trace completes when the driver drops it.
        if (Observer is not null && status != BlockStatus.Cancelled) CompleteTrace(status);
        Signal(status);
    }

    /// <summary>Runs the continuation. The request belongs to its awaiter from here on.</summary>
    protected virtual void Signal(BlockStatus status)
    {
        if (_batch is null)
        {
            _completion.SetResult(status);
            return;
        }
        var (batch, index) = (_batch, _index);
        Release(status);
        batch.NoteCompletion(index, status);
    }

    protected override void NoteRepeatedCompletion() => _owner!.NoteRepeatedCompletion();

    protected override void OnDropped()
    {
        if (Observer is not null) CompleteTrace(BlockStatus.Cancelled);
        Release(BlockStatus.Cancelled);
    }

    private void Release(BlockStatus status)
    {
        if (status != BlockStatus.Cancelled || Interlocked.Increment(ref _released) == Holders) _owner!.Recycle(this);
    }

    private void BeginTrace(string stack)
    {
        var trace = RequestTrace.TakeRequested() ?? new RequestTrace();
        Observer = trace;
        trace.Begin(stack);
    }

    private void CompleteTrace(BlockStatus status)
    {
        var trace = this.Trace!;
        trace.Complete(RequestPath, status);
        GuestEvents.Log.WriteCompletion(this, trace);
    }
}
