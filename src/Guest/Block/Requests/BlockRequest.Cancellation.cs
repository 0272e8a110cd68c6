namespace VmShunt.BlockDriver.Requests;

/// <summary>
/// Calling a request back. Until a driver takes it for a device it waits, and may be cancelled: it ends at once, on the
/// thread that cancels, and whoever holds it drops it when it comes to it. A device that has had it may have done it, so
/// from then on it ends as it ends, also when that device is lost.
/// </summary>
/// <remarks>
/// Who changes <see cref="Stage"/> from waiting owns what follows. A cancelled request has two holders, the one who asked and
/// the driver in whose list it is; the last of them gives the object back.
/// </remarks>
internal partial class BlockRequest
{
    private const int Holders = 2;

    private CancellationTokenRegistration _cancellation;
    private bool _isCancellable;
    private Stage _stage;
    private int _letGo;

    private enum Stage
    {
        Ended,
        Waiting,
        Taken,
        Cancelled,
    }

    /// <summary>Lets a token call the request back. Before it is submitted.</summary>
    internal void CancelOn(CancellationToken cancel)
    {
        if (!cancel.CanBeCanceled) return;
        _isCancellable = true;
        _cancellation = cancel.UnsafeRegister(static request => ((BlockRequest)request!).Cancel(), this);
    }

    /// <summary>A driver's claim on the request, right before it describes it to a device.</summary>
    /// <returns>False when it was cancelled: it is gone, and must not be touched.</returns>
    internal bool TryTake() =>
        !_isCancellable || Interlocked.CompareExchange(ref _stage, Stage.Taken, Stage.Waiting) != Stage.Cancelled || !TryDrop();

    /// <summary>Lets the request go if it was cancelled. For the thread in whose list it was.</summary>
    /// <returns>False when it was not, and still is the caller's.</returns>
    internal bool TryDrop()
    {
        if (!_isCancellable || Interlocked.CompareExchange(ref _stage, Stage.Ended, Stage.Cancelled) != Stage.Cancelled) return false;
        Drop();
        return true;
    }

    private void Cancel()
    {
        if (Interlocked.CompareExchange(ref _stage, Stage.Cancelled, Stage.Waiting) == Stage.Waiting) End(BlockStatus.Cancelled);
    }

    private void Drop()
    {
        if (Trace is not null) EndTrace(BlockStatus.Cancelled);
        LetGo(BlockStatus.Cancelled);
    }

    private void LetGo(BlockStatus status)
    {
        if (status != BlockStatus.Cancelled || Interlocked.Increment(ref _letGo) == Holders) _owner!.Recycle(this);
    }

    private void ForgetCancellation()
    {
        _cancellation = default;
        _isCancellable = false;
        _letGo = 0;
    }
}
