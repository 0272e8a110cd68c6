namespace VmShunt.Guest.Mode;

/// <summary>Shunt and VM-H do not agree on which requests are primary.</summary>
internal sealed class ShuntMismatchException(string message) : IOException(message);
