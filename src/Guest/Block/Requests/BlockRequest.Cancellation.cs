namespace VmShunt.BlockDriver.Requests;

/// <summary>
/// Cancellation. Until a driver claims the request for a device, a token may cancel it: it completes at once on the
/// cancelling thread, and the driver that queues it drops it on dequeue. Once claimed it completes with the device's
/// status, also if that device is lost, because the device may have executed it.
/// </summary>
/// <remarks>
/// The thread that moves <see cref="Stage"/> on from pending owns the next step. Two parties hold a cancelled request: its
/// awaiter and the driver that queues it. The last to release it recycles the object.
/// </remarks>
internal partial class BlockRequest
{
    private const int Holders = 2;

    private CancellationTokenRegistration _cancellation;
    private bool _isCancellable;
    private Stage _stage;
    private int _released;

    private enum Stage
    {
        Completed,
        Pending,
        Claimed,
        Cancelled,
    }

    /// <summary>Lets a token cancel the request. Called before it is submitted.</summary>
    internal void CancelOn(CancellationToken cancel)
    {
        if (!cancel.CanBeCanceled) return;
        _isCancellable = true;
        _cancellation = cancel.UnsafeRegister(static request => ((BlockRequest)request!).Cancel(), this);
    }

    /// <summary>Claims the request for a device. A driver calls it right before it describes the request.</summary>
    /// <returns>False: the request was cancelled and must not be touched any more.</returns>
    internal bool TryTake() =>
        !_isCancellable || Interlocked.CompareExchange(ref _stage, Stage.Claimed, Stage.Pending) != Stage.Cancelled || !TryDrop();

    /// <summary>Releases the request if it was cancelled. Called by the thread that owns the list it is in.</summary>
    /// <returns>False: the request is not cancelled, and still the caller's.</returns>
    internal bool TryDrop()
    {
        if (!_isCancellable || Interlocked.CompareExchange(ref _stage, Stage.Completed, Stage.Cancelled) != Stage.Cancelled) return false;
        Drop();
        return true;
    }

    private void Cancel()
    {
        if (Interlocked.CompareExchange(ref _stage, Stage.Cancelled, Stage.Pending) == Stage.Pending) End(BlockStatus.Cancelled);
    }

    private void Drop()
    {
        if (Trace is not null) CompleteTrace(BlockStatus.Cancelled);
        Release(BlockStatus.Cancelled);
    }

    private void Release(BlockStatus status)
    {
        if (status != BlockStatus.Cancelled || Interlocked.Increment(ref _released) == Holders) _owner!.Recycle(this);
    }

    private void ResetCancellation()
    {
        _cancellation = default;
        _isCancellable = false;
        _released = 0;
    }
}
