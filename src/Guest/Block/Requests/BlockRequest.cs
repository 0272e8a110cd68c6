using System.Threading.Tasks.Sources;
using Microsoft.Extensions.ObjectPool;

namespace VmShunt.BlockDriver.Requests;

/// <summary>Which road a request took.</summary>
internal enum RequestPath : byte
{
    None,

    /// <summary>Through registers of the emulated controller.</summary>
    Trap,

    /// <summary>Through a virtqueue.</summary>
    Ring,
}

/// <summary>
/// One request on its way through a stack (an SRB, a bio). Pooled: whoever awaits the task gives it back by doing so. It
/// is on exactly one road at a time and completes exactly once.
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

    /// <summary>Guest-physical address of the data.</summary>
    internal ulong Address { get; private set; }

    /// <summary>Links the request into whichever list holds it; a request is in at most one.</summary>
    internal BlockRequest? Next { get; set; }

    /// <summary>Who takes the request if the driver that has it cannot go on; null: it fails.</summary>
    internal IBlockDriver? Fallback { get; set; }

    internal RequestPath RequestPath { get; set; }

    /// <summary>Where its way is written down; null when nobody wants to know.</summary>
    internal RequestTrace? Trace { get; private set; }

    /// <summary>Its end, for the one who awaits it; throws what went wrong.</summary>
    internal ValueTask Task => new(this, _completion.Version);

    /// <summary>Its end, for the one who awaits it; says what went wrong.</summary>
    internal ValueTask<BlockStatus> Outcome => new(this, _completion.Version);

    internal void Begin(DiskClassDriver owner, BlockOperation operation, ulong sector, int bytes, ulong address)
    {
        _owner = owner;
        Begin(operation, sector, bytes, address);
        if (RequestTrace.IsWanted) BeginTrace(owner.StackName);
    }

    /// <summary>Its end is told to a batch, and nobody awaits it.</summary>
    internal void BelongTo(BlockBatch batch, int index) => (_batch, _index) = (batch, index);

    /// <summary>Ends the request. What awaits it goes on at once, on this thread.</summary>
    internal void Complete(BlockStatus status)
    {
        switch (Interlocked.Exchange(ref _stage, Stage.Ended))
        {
            case Stage.Ended:
                NoteRepeatedCompletion();
                break;
            case Stage.Cancelled:
                Drop();
                break;
            default:
                // Waits for a cancellation that is just losing, so that none reaches the object's next request.
                if (_isCancellable) _cancellation.Dispose();
                End(status);
                break;
        }
    }

    /// <summary>Hands the request to its fallback, or fails it.</summary>
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
        LetGo(status);
        if (failure is not null) throw failure;
    }

    BlockStatus IValueTaskSource<BlockStatus>.GetResult(short token)
    {
        var status = _completion.GetResult(token);
        LetGo(status);
        return status;
    }

    public ValueTaskSourceStatus GetStatus(short token) => _completion.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _completion.OnCompleted(continuation, state, token, flags);

    /// <summary>Says what is asked for, and that it has not ended.</summary>
    protected void Begin(BlockOperation operation, ulong sector, int bytes, ulong address)
    {
        Operation = operation;
        Sector = sector;
        Bytes = bytes;
        Address = address;
        _stage = Stage.Waiting;
    }

    /// <summary>Tells whoever asked. Called once a request.</summary>
    protected virtual void End(BlockStatus status)
    {
        _owner!.NoteCompletion(RequestPath, status);
        // The trace goes with the request, which a driver may still hold.
        if (Trace is not null && status != BlockStatus.Cancelled) EndTrace(status);
        Tell(status);
    }

    /// <summary>Has whoever waits for the end go on. From then on the request is theirs.</summary>
    protected virtual void Tell(BlockStatus status)
    {
        if (_batch is null)
        {
            _completion.SetResult(status);
            return;
        }
        var (batch, index) = (_batch, _index);
        LetGo(status);
        batch.NoteEnd(index, status);
    }

    /// <summary>A driver has completed the request once more: it is wrong.</summary>
    protected virtual void NoteRepeatedCompletion() => _owner!.NoteRepeatedCompletion();

    public bool TryReset()
    {
        _completion.Reset();
        Next = null;
        Fallback = null;
        RequestPath = RequestPath.None;
        Trace = null;
        _batch = null;
        if (_isCancellable) ForgetCancellation();
        return true;
    }

    private void BeginTrace(string stack)
    {
        Trace = RequestTrace.TakeFollower() ?? new RequestTrace();
        Trace.Begin(stack);
    }

    private void EndTrace(BlockStatus status)
    {
        Trace!.End(RequestPath, status);
        GuestEvents.Log.Tell(this, Trace);
    }
}
