namespace VmShunt.BlockDriver.Requests;

/// <summary>A driver at the bottom of a stack that accepts several requests in one operation.</summary>
public interface IBatchSubmitter
{
    /// <summary>Accepts requests that the submitting thread deferred, linked by <see cref="BlockRequest.Next"/> from the newest to the oldest.</summary>
    /// <param name="newest">The one that was submitted last.</param>
    /// <param name="oldest">The one that was submitted first; it has no next one.</param>
    void TakeKept(BlockRequest newest, BlockRequest oldest);
}

/// <summary>
/// A batch while its thread submits it. Each request passes the stack on its own; the driver at the bottom defers it until
/// the whole batch has arrived, so that they become one publication of the ring and at most one kick. Other requests that the
/// thread submits meanwhile join the batch. Reused; one thread at a time.
/// </summary>
public sealed class BatchSubmission
{
    [ThreadStatic]
    private static BatchSubmission? t_current;

    private BatchSubmission? _outer;
    private IBatchSubmitter? _target;
    private BlockRequest? _newest, _oldest;

    /// <summary>Defers a request if the calling thread is submitting a batch. For a driver at the bottom of a stack.</summary>
    /// <param name="target">The driver.</param>
    /// <param name="request">The request.</param>
    /// <returns>False: no batch is being submitted; the request is still the caller's.</returns>
    public static bool TryKeep(IBatchSubmitter target, BlockRequest request)
    {
        if (t_current is not { } batch) return false;
        batch.Defer(target, request);
        return true;
    }

    /// <summary>Allocates the calling thread's thread-static state, off the hot path.</summary>
    public static void AllocateThreadState()
    {
        var current = t_current;
        t_current = current;
    }

    /// <summary>From here on the calling thread's requests are deferred. Batches nest.</summary>
    public void Begin()
    {
        _outer = t_current;
        t_current = this;
    }

    /// <summary>Submits what was deferred. The thread that began the batch calls it, whatever happened since.</summary>
    public void Complete()
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
