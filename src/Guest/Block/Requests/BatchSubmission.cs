namespace VmShunt.BlockDriver.Requests;

/// <summary>A driver at the bottom of a stack that accepts several requests in one operation.</summary>
internal interface IBatchSubmitter
{
    /// <summary>Accepts requests that the submitting thread deferred, linked from the newest to the oldest.</summary>
    void TakeKept(BlockRequest newest, BlockRequest oldest);
}

/// <summary>
/// A batch while its thread submits it. Each request passes the stack on its own; the driver at the bottom defers it until
/// the whole batch has arrived. Other requests that the thread submits meanwhile join the batch.
/// </summary>
internal sealed class BatchSubmission
{
    [ThreadStatic]
    private static BatchSubmission? t_current;

    private BatchSubmission? _outer;
    private IBatchSubmitter? _target;
    private BlockRequest? _newest, _oldest;

    /// <summary>Defers a request if the calling thread is submitting a batch.</summary>
    /// <returns>False: no batch is being submitted; the request is still the caller's.</returns>
    internal static bool TryKeep(IBatchSubmitter target, BlockRequest request)
    {
        if (t_current is not { } batch) return false;
        batch.Defer(target, request);
        return true;
    }

    /// <summary>Allocates the calling thread's thread-static state, off the hot path.</summary>
    internal static void AllocateThreadState()
    {
        var current = t_current;
        t_current = current;
    }

    internal void Begin()
    {
        _outer = t_current;
        t_current = this;
    }

    /// <summary>Submits what was deferred.</summary>
    internal void Complete()
    {
        t_current = null;
        try
        {
            SubmitDeferred();
        }
        finally
        {
            t_current = _outer;
            _outer = null;
        }
    }

    private void Defer(IBatchSubmitter target, BlockRequest request)
    {
        if (_target is not null && !ReferenceEquals(_target, target)) SubmitDeferred();
        _target = target;
        request.Next = _newest;
        _newest = request;
        _oldest ??= request;
    }

    private void SubmitDeferred()
    {
        if (_newest is not { } newest) return;
        var (target, oldest) = (_target!, _oldest!);
        _target = null;
        _newest = _oldest = null;
        target.TakeKept(newest, oldest);
    }
}
