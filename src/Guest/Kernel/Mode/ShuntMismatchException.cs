namespace VmShunt.Guest.Mode;

/// <summary>The shunt and VM-H do not agree on which requests are primary.</summary>
internal sealed class ShuntMismatchException(string message) : IOException(message);
