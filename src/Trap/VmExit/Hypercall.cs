namespace VmShunt.Trap.VmExit;

/// <summary>
/// Hypercall codes. In: the code in RCX, parameters in RDX, R8 and R9. Out: the status in RAX, results in RBX, RCX and RDX.
/// Registers without a result keep their values.
/// </summary>
public static class Hypercall
{
    /// <summary>Identifies the hypervisor. RBX, RCX: <see cref="SignatureLow"/>, <see cref="SignatureHigh"/>; RDX: the highest code.</summary>
    public const ulong Identify = 0;

    /// <summary>Queries the bus of emulated disk RDX. RBX: 1 if a channel is offered now; RCX: 1 while one is open. Query again after <see cref="GuestLayout.BusVector"/>.</summary>
    public const ulong QueryBus = 1;

    /// <summary>Opens the bus channel of emulated disk RDX; the connected vhost-user socket is sent with the resume record.</summary>
    public const ulong OpenBus = 2;

    /// <summary>Closes the bus channel of emulated disk RDX; returns when VM-H has released the memory.</summary>
    public const ulong CloseBus = 3;

    /// <summary>Reads the exit counters of this partition. RDX: an <see cref="ExitReason"/>, or 0 for the total; RBX: the count.</summary>
    public const ulong Counters = 4;

    /// <summary>
    /// Reports a crash; RDX: the guest's reason code. The hypervisor suspends all other processors, revokes every bus channel
    /// and waits, with a limit, until VM-H has closed it; it moves the RAM to the dump memory, hashes and seals it; it
    /// restarts the devices, which may then read the dump memory and write the crash reserve only. RBX: the number of
    /// channels revoked. An access to a device whose VM-H does not answer raises a machine check that says why.
    /// </summary>
    public const ulong Crash = 5;

    /// <summary>Powers the partition off.</summary>
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

    /// <summary>The code is unknown.</summary>
    UnknownCode = 1,

    /// <summary>A parameter is out of range.</summary>
    BadParameter = 2,

    /// <summary>No bus channel is offered for this device at present.</summary>
    NotOffered = 3,

    /// <summary>The bus channel of this device is open already.</summary>
    AlreadyOpen = 4,

    /// <summary>The bus channel of this device is not open.</summary>
    NotOpen = 5,

    /// <summary>VM-H does not accept the connection.</summary>
    Unavailable = 6,

    /// <summary>The partition has crashed; the bus stays closed.</summary>
    Crashed = 7,

    /// <summary>VM-H did not close the channel in time, so it was cut by force.</summary>
    Forced = 8,
}
