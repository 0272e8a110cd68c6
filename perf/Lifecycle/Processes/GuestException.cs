namespace VmShunt.Perf.Lifecycle.Processes;

/// <summary>A guest, or a process around it, did what it must not; a test that meets it has failed. A wait that has no end is a <see cref="TimeoutException"/>.</summary>
internal sealed class GuestException(string message) : Exception(message);
