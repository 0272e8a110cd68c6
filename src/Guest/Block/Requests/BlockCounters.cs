namespace VmShunt.BlockDriver.Requests;

/// <summary>What a disk's requests came to, at one moment.</summary>
/// <param name="Submitted">Requests taken.</param>
/// <param name="Completed">Requests ended, well or not.</param>
/// <param name="Failed">Those that ended badly.</param>
/// <param name="Trapped">Those that took the trap.</param>
/// <param name="Ringed">Those that took the ring.</param>
/// <param name="Repeated">Completions of requests that were complete already: always 0, or a driver is wrong.</param>
/// <param name="Cancelled">Those that were called back in time, and took neither road.</param>
public readonly record struct BlockCounters(long Submitted, long Completed, long Failed, long Trapped, long Ringed, long Repeated, long Cancelled = 0)
{
    /// <summary>Requests taken and not ended.</summary>
    public long InFlight => Submitted - Completed;
}
