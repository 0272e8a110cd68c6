namespace VmShunt.Guest.Mode;

/// <summary>The paths that the guest uses.</summary>
internal enum GuestMode
{
    /// <summary>The emulating stack only; the shunt passes requests down.</summary>
    Emulating,

    /// <summary>Both stacks; the shunt diverts to the port driver (enlightened).</summary>
    Enlightened,

    /// <summary>No enlightened stack: the shunt itself sends reads and writes to VM-H.</summary>
    Alternate,
}
