namespace VmShunt.Guest.Mode;

/// <summary>Which roads the guest uses.</summary>
internal enum GuestMode
{
    /// <summary>Only the emulating stack; the shunt passes down.</summary>
    Emulating,

    /// <summary>Both stacks; the shunt diverts to port driver-en.</summary>
    Enlightened,

    /// <summary>No enlightened stack: the shunt itself speaks to VM-H, and diverts reads and writes only.</summary>
    Alternate,
}
