namespace VmShunt.Guest.Workloads;

/// <summary>
/// What a thread allocates from one completion to the last one noted. Only the first thread that notes one is followed:
/// where one thread completes everything, that is all there is.
/// </summary>
internal sealed class AllocationWindow
{
    private int _thread;
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
