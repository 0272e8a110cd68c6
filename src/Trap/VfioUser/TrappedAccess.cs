using System.Runtime.InteropServices;
using VmShunt.Trap.VmExit;

namespace VmShunt.Trap.VfioUser;

/// <summary>
/// A register access with the whole state of the virtual processor that is suspended at it: the request of a command of ours,
/// <c>VMSHUNT_TRAP</c> (number 5653h), which both ends agree on in VERSION (capability <c>vmshunt_trap_state</c>). 192 bytes,
/// little-endian. The data of a store is in RAX.
/// </summary>
/// <remarks>
/// <code>
/// offset size field
///      0    8 Offset             in the region
///      8    4 Region             region of the device
///     12    4 Size               bytes of the access: 1, 2, 4 or 8
///     16    4 Partition          number of the partition
///     20    4 Processor          index of the virtual processor
///     24    4 Sequence           number of the exit on this processor
///     28    4 Reason             ExitReason: MmioRead or MmioWrite
///     32    4 InstructionLength  bytes of the decoded instruction
///     36    4 (zero)
///     40    8 Address            guest-physical address of the access
///     48  144 State              ProcessorState before the instruction
/// </code>
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
public struct TrappedAccess
{
    /// <summary>The size of the request in bytes.</summary>
    public const int SizeInBytes = 192;

    /// <summary>The offset in the region.</summary>
    public ulong Offset;

    /// <summary>The region of the device.</summary>
    public uint Region;

    /// <summary>The bytes of the access: 1, 2, 4 or 8.</summary>
    public uint Size;

    /// <summary>The number of the partition.</summary>
    public uint Partition;

    /// <summary>The index of the suspended virtual processor.</summary>
    public uint Processor;

    /// <summary>The number of the exit on this processor.</summary>
    public uint Sequence;

    /// <summary>A load or a store.</summary>
    public ExitReason Reason;

    /// <summary>The length in bytes of the instruction.</summary>
    public uint InstructionLength;

    private readonly uint _zero;

    /// <summary>The guest-physical address of the access.</summary>
    public ulong Address;

    /// <summary>The registers before the instruction.</summary>
    public ProcessorState State;
}
