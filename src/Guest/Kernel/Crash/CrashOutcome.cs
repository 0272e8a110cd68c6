namespace VmShunt.Guest.Crash;

/// <summary>The outcome of a crash.</summary>
/// <param name="DumpBytes">The length of the dump.</param>
/// <param name="InFlight">Requests in flight at the crash.</param>
/// <param name="AllocatedBytes">Bytes that writing the dump allocated on the managed heap.</param>
/// <param name="Failure">The reason why there is no dump, or null.</param>
internal readonly record struct CrashOutcome(long DumpBytes, int InFlight, long AllocatedBytes, string? Failure);
