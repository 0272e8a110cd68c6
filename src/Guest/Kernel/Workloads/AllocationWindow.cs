namespace VmShunt.Guest.Workloads;

/// <summary>
/// Measures what a thread allocates between its first and its last noted completion. It follows only the first thread that
/// notes one, which is enough if one thread completes all requests.
/// </summary>
internal sealed class AllocationWindow
{
    private int _thread;
    // Written by the followed thread only; read once the workers have completed.
    private long _first, _last;
    private long _requests;

    internal double BytesPerRequest => _requests > 0 ? (double)(_last - _first) / _requests : 0;

    /// <summary>Notes a completion on the calling thread.</summary>
    internal void Note()
    {
        var here = Environment.CurrentManagedThreadId;
        var owner = Interlocked.CompareExchange(ref _thread, here, 0);
        if (owner == 0) _first = _last = GC.GetAllocatedBytesForCurrentThread();
        else if (owner == here) (_last, _requests) = (GC.GetAllocatedBytesForCurrentThread(), _requests + 1);
    }
}
