namespace VmShunt.Guest.Loader;

/// <summary>The disk has a boot partition, but it cannot be booted; or an option of the machine is invalid.</summary>
internal sealed class BootException(string message) : Exception(message);
