namespace VmShunt.Guest.Loader;

/// <summary>The disk says that it can be booted, and what it holds cannot.</summary>
internal sealed class BootException(string message) : Exception(message);
