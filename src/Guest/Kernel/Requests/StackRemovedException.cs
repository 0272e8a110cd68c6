namespace VmShunt.Guest.Requests;

/// <summary>The stack was removed; the request was not started.</summary>
internal sealed class StackRemovedException(string message) : IOException(message);
