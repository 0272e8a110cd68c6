namespace VmShunt.Trap.VmExit;

/// <summary>
/// The codes of hypercalls. The code goes in RCX, parameters in RDX, R8 and R9; the status comes back in RAX, results
/// in RBX, RCX and RDX. Registers that carry no result keep their values.
/// </summary>
public static class Hypercall
{
    /// <summary>Which hypervisor is this? RBX, RCX: <see cref="SignatureLow"/>, <see cref="SignatureHigh"/>; RDX: the highest code.</summary>
    public const ulong Identify = 0;

    /// <summary>Is a bus channel offered now for emulated disk RDX? RBX: 1 yes, 0 no; RCX: 1 while one is open. Asked again after <see cref="GuestLayout.BusVector"/>.</summary>
    public const ulong QueryBus = 1;

    /// <summary>Opens the bus channel of emulated disk RDX; the connected vhost-user socket comes with the resume.</summary>
    public const ulong OpenBus = 2;

    /// <summary>Gives the bus channel of emulated disk RDX up; returns when VM-H has let the memory go.</summary>
    public const ulong CloseBus = 3;

    /// <summary>How often did this partition exit? RDX: 0 in all, or an <see cref="ExitReason"/>; RBX: the count.</summary>
    public const ulong Counters = 4;

    /// <summary>
    /// The guest has crashed, RDX says why in its own terms. All other processors stay stopped, every bus channel is
    /// revoked and VM-H's close waited for, though not for ever; the RAM is moved into the dump memory, hashed and sealed;
    /// the devices start anew and reach that memory, for reading, and the crash reserve, but no other. RBX: channels
    /// revoked. A device whose VM-H does not answer stays cut off: an access to it is a machine check that says why.
    /// </summary>
    public const ulong Crash = 5;

    /// <summary>The orderly end of the partition.</summary>
    public const ulong PowerOff = 6;

    /// <summary>The highest code.</summary>
    public const ulong Highest = PowerOff;

    /// <summary>"VmShuntH" in little-endian order.</summary>
    public const ulong SignatureLow = 0x48746E7568536D56;

    /// <summary>"v" in little-endian order.</summary>
    public const ulong SignatureHigh = 0x76;
}

/// <summary>The status of a hypercall, in RAX.</summary>
public enum HypercallStatus : ulong
{
    /// <summary>It was carried out.</summary>
    Success = 0,

    /// <summary>This hypervisor has no such code.</summary>
    UnknownCode = 1,

    /// <summary>A parameter is out of range.</summary>
    BadParameter = 2,

    /// <summary>No bus channel is offered for this device, or not now.</summary>
    NotOffered = 3,

    /// <summary>The bus channel of this device is open already.</summary>
    AlreadyOpen = 4,

    /// <summary>The bus channel of this device is not open.</summary>
    NotOpen = 5,

    /// <summary>VM-H does not take the connection.</summary>
    Unavailable = 6,

    /// <summary>The partition has crashed; the bus stays closed.</summary>
    Crashed = 7,

    /// <summary>VM-H did not close in time, so the channel was cut by force.</summary>
    Forced = 8,
}
