namespace VmShunt.Guest.Requests;

/// <summary>A snapshot of a disk's request counters.</summary>
/// <param name="Submitted">Requests submitted.</param>
/// <param name="Completed">Requests completed, with any status.</param>
/// <param name="Failed">Requests completed with an error.</param>
/// <param name="Trapped">Requests that took the trap path.</param>
/// <param name="Ringed">Requests that took the ring path.</param>
/// <param name="Repeated">Completions of requests that were complete already. Always 0 unless a driver has a bug.</param>
/// <param name="Cancelled">Requests cancelled before they took a path.</param>
internal readonly record struct BlockCounters(long Submitted, long Completed, long Failed, long Trapped, long Ringed, long Repeated, long Cancelled = 0)
{
    /// <summary>Requests submitted and not yet completed.</summary>
    public long InFlight => Submitted - Completed;
}
