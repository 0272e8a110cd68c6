namespace VmShunt.BlockDriver.Requests;

/// <summary>
/// Cancellation. Until a driver claims the request for a device, a token may cancel it: it completes at once on the
/// cancelling thread, and the driver that queues it drops it on dequeue. Once claimed it completes with the device's
/// status, also if that device is lost, because the device may have executed it.
/// </summary>
/// <remarks>
/// The thread that moves <see cref="Stage"/> on from pending owns the next step. Two parties hold a cancelled request: its
/// creator and the driver that queues it. It is free once <see cref="End"/> and <see cref="OnDropped"/> were both called.
/// </remarks>
public abstract partial class BlockRequest
{
    private CancellationTokenRegistration _cancellation;
    private bool _isCancellable;
    private Stage _stage;

    private enum Stage
    {
        Completed,
        Pending,
        Claimed,
        Cancelled,
    }

    /// <summary>The token that cancels the request; none if it has no token.</summary>
    protected CancellationToken Cancellation => _cancellation.Token;

    /// <summary>Claims the request for a device. A driver calls it right before it describes the request.</summary>
    /// <returns>False: the request was cancelled and must not be touched any more.</returns>
    public bool TryTake() =>
        !_isCancellable || Interlocked.CompareExchange(ref _stage, Stage.Claimed, Stage.Pending) != Stage.Cancelled || !TryDrop();

    /// <summary>Releases the request if it was cancelled. Called by the thread that owns the list it is in.</summary>
    /// <returns>False: the request is not cancelled, and still the caller's.</returns>
    public bool TryDrop()
    {
        if (!_isCancellable || Interlocked.CompareExchange(ref _stage, Stage.Completed, Stage.Cancelled) != Stage.Cancelled) return false;
        OnDropped();
        return true;
    }

    /// <summary>Lets a token cancel the request, until a driver claims it. Called after <see cref="Begin"/>, before it is submitted.</summary>
    /// <param name="cancel">The token.</param>
    protected void CancelOn(CancellationToken cancel)
    {
        if (!cancel.CanBeCanceled) return;
        _isCancellable = true;
        _cancellation = cancel.UnsafeRegister(static request => ((BlockRequest)request!).Cancel(), this);
    }

    /// <summary>The driver that queued a cancelled request has dropped it; <see cref="End"/> was called, or is being called on another thread.</summary>
    protected virtual void OnDropped()
    {
    }

    private void Cancel()
    {
        if (Interlocked.CompareExchange(ref _stage, Stage.Cancelled, Stage.Pending) == Stage.Pending) End(BlockStatus.Cancelled);
    }
}
