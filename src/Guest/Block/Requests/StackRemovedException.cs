namespace VmShunt.BlockDriver.Requests;

/// <summary>A stack does not exist any more; the request was not begun.</summary>
public sealed class StackRemovedException(string message) : IOException(message);
