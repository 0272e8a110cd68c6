namespace VmShunt.Guest.Crash;

/// <summary>What a crash came to.</summary>
/// <param name="DumpBytes">The length of the dump.</param>
/// <param name="InFlight">Requests that were in flight.</param>
/// <param name="AllocatedBytes">What writing the dump allocated on the managed heap.</param>
/// <param name="Failure">Why there is no dump, or null.</param>
internal readonly record struct CrashOutcome(long DumpBytes, int InFlight, long AllocatedBytes, string? Failure);
