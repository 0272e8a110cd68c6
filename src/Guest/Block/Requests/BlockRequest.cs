using System.Threading.Tasks.Sources;
using Microsoft.Extensions.ObjectPool;

namespace VmShunt.BlockDriver.Requests;

/// <summary>The path that a request took to VM-H.</summary>
internal enum RequestPath : byte
{
    None,

    /// <summary>The registers of the emulated controller.</summary>
    Trap,

    /// <summary>A virtqueue.</summary>
    Ring,
}

/// <summary>
/// A block request (an SRB, a bio). Pooled: awaiting its task returns it to the pool. It is on one path at a time and
/// completes exactly once.
/// </summary>
internal partial class BlockRequest : IValueTaskSource, IValueTaskSource<BlockStatus>, IResettable
{
    private ManualResetValueTaskSourceCore<BlockStatus> _completion;
    private DiskClassDriver? _owner;
    private BlockBatch? _batch;
    private int _index;

    internal BlockOperation Operation { get; private set; }

    internal ulong Sector { get; private set; }

    /// <summary>The length in bytes; for flush 0.</summary>
    internal int Bytes { get; private set; }

    /// <summary>Whether this read is for the disk's serial number, 20 bytes, instead of its content (VIRTIO_BLK_T_GET_ID).</summary>
    internal bool ReadsSerial { get; init; }

    /// <summary>Guest-physical address of the data.</summary>
    internal ulong Address { get; private set; }

    /// <summary>The next request in its list; a request is in at most one list.</summary>
    internal BlockRequest? Next { get; set; }

    /// <summary>Receives the request if its driver rejects it; null: it fails.</summary>
    internal IBlockDriver? Fallback { get; set; }

    internal RequestPath RequestPath { get; set; }

    /// <summary>Its trace; null unless tracing is on.</summary>
    internal RequestTrace? Trace { get; private set; }

    /// <summary>Its completion; throws on error.</summary>
    internal ValueTask Task => new(this, _completion.Version);

    /// <summary>Its completion; returns the status.</summary>
    internal ValueTask<BlockStatus> Outcome => new(this, _completion.Version);

    internal void Begin(DiskClassDriver owner, BlockOperation operation, ulong sector, int bytes, ulong address)
    {
        _owner = owner;
        Begin(operation, sector, bytes, address);
        if (RequestTrace.IsEnabled) BeginTrace(owner.StackName);
    }

    /// <summary>Makes its completion part of a batch.</summary>
    internal void AttachTo(BlockBatch batch, int index) => (_batch, _index) = (batch, index);

    /// <summary>Completes the request. Its continuation runs inline, on this thread.</summary>
    internal void Complete(BlockStatus status)
    {
        switch (Interlocked.Exchange(ref _stage, Stage.Completed))
        {
            case Stage.Completed:
                NoteRepeatedCompletion();
                break;
            case Stage.Cancelled:
                Drop();
                break;
            default:
                // Waits for a cancellation callback that has lost the race, or it would cancel the object's next request.
                if (_isCancellable) _cancellation.Dispose();
                End(status);
                break;
        }
    }

    /// <summary>Submits the request to its fallback, or fails it.</summary>
    internal void Reject()
    {
        var fallback = Fallback;
        Fallback = null;
        Trace?.Pass(Hop.GivenBack);
        if (fallback is not null) fallback.Submit(this);
        else Complete(BlockStatus.IoError);
    }

    public void GetResult(short token)
    {
        var status = _completion.GetResult(token);
        Exception? failure = status switch
        {
            BlockStatus.Ok => null,
            BlockStatus.Cancelled => new OperationCanceledException(_cancellation.Token),
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

    /// <summary>Sets the operation and makes the request pending. No other thread has it yet.</summary>
    protected void Begin(BlockOperation operation, ulong sector, int bytes, ulong address)
    {
        Operation = operation;
        Sector = sector;
        Bytes = bytes;
        Address = address;
        _stage = Stage.Pending;
    }

    /// <summary>Counts and traces the completion, then signals it. Called once per request.</summary>
    protected virtual void End(BlockStatus status)
    {
        _owner!.NoteCompletion(RequestPath, status);
        // A driver may still queue a cancelled request; its trace completes when the driver drops it.
        if (Trace is not null && status != BlockStatus.Cancelled) CompleteTrace(status);
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

    /// <summary>A driver completed the request again, which is a bug in that driver.</summary>
    protected virtual void NoteRepeatedCompletion() => _owner!.NoteRepeatedCompletion();

    public bool TryReset()
    {
        _completion.Reset();
        Next = null;
        Fallback = null;
        RequestPath = RequestPath.None;
        Trace = null;
        _batch = null;
        if (_isCancellable) ResetCancellation();
        return true;
    }

    private void BeginTrace(string stack)
    {
        Trace = RequestTrace.TakeRequested() ?? new RequestTrace();
        Trace.Begin(stack);
    }

    private void CompleteTrace(BlockStatus status)
    {
        Trace!.Complete(RequestPath, status);
        GuestEvents.Log.WriteCompletion(this, Trace);
    }
}
