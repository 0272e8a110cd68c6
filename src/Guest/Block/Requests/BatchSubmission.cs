namespace VmShunt.BlockDriver.Requests;

/// <summary>What takes requests at the bottom of a stack, and several at once where that is cheaper.</summary>
internal interface IBatchSubmitter
{
    /// <summary>Takes requests that it has kept back until now, linked from the newest to the oldest.</summary>
    void TakeKept(BlockRequest newest, BlockRequest oldest);
}

/// <summary>
/// A batch on its way down, on the thread that submits it: each request passes the stack by itself, and the driver at the
/// bottom keeps it back until the batch has been handed over. Whatever else the thread submits meanwhile comes along.
/// </summary>
internal sealed class BatchSubmission
{
    [ThreadStatic]
    private static BatchSubmission? t_current;

    private BatchSubmission? _outer;
    private IBatchSubmitter? _taker;
    private BlockRequest? _newest, _oldest;

    /// <summary>Keeps a request back, if the calling thread is handing a batch over.</summary>
    /// <returns>False: the request is still the caller's.</returns>
    internal static bool TryKeep(IBatchSubmitter taker, BlockRequest request)
    {
        if (t_current is not { } handover) return false;
        handover.Keep(taker, request);
        return true;
    }

    /// <summary>The calling thread has what the runtime keeps for it here from now on, and not from its first request that is kept or not.</summary>
    internal static void Meet()
    {
        var current = t_current;
        t_current = current;
    }

    internal void Begin()
    {
        _outer = t_current;
        t_current = this;
    }

    internal void End()
    {
        t_current = null;
        try
        {
            Release();
        }
        finally
        {
            t_current = _outer;
            _outer = null;
        }
    }

    private void Keep(IBatchSubmitter taker, BlockRequest request)
    {
        if (_taker is not null && !ReferenceEquals(_taker, taker)) Release();
        _taker = taker;
        request.Next = _newest;
        _newest = request;
        _oldest ??= request;
    }

    private void Release()
    {
        if (_newest is not { } newest) return;
        var (taker, oldest) = (_taker!, _oldest!);
        _taker = null;
        _newest = _oldest = null;
        taker.TakeKept(newest, oldest);
    }
}
