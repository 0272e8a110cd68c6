using System.Runtime.InteropServices;

namespace VmShunt.Trap.VmExit;

/// <summary>The reason of a VM exit.</summary>
public enum ExitReason : uint
{
    /// <summary>A load from a device address: <c>mov rax, [rdx]</c>.</summary>
    MmioRead = 1,

    /// <summary>A store to a device address: <c>mov [rdx], rax</c>.</summary>
    MmioWrite = 2,

    /// <summary>A hypercall: <c>vmcall</c>.</summary>
    Hypercall = 3,

    /// <summary>A wait for an interrupt: <c>hlt</c>.</summary>
    Halt = 4,
}

/// <summary>
/// What a virtual processor sends at a VM exit. It is suspended until the <see cref="ResumeRecord"/> arrives. 168 bytes,
/// little-endian.
/// </summary>
/// <remarks>
/// <code>
/// offset size field
///      0    4 Processor   index of the virtual processor
///      4    4 Reason      ExitReason
///      8    8 Address     guest-physical address of the access, else 0
///     16    4 Size        bytes of the access (1, 2, 4, 8), else 0
///     20    4 Sequence    number of the exit on this processor; echoed in the resume record
///     24  144 State       ProcessorState before the instruction
/// </code>
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
public struct ExitRecord
{
    /// <summary>The index of the virtual processor.</summary>
    public uint Processor;

    /// <summary>The reason.</summary>
    public ExitReason Reason;

    /// <summary>The guest-physical address of the access; 0 for other reasons.</summary>
    public ulong Address;

    /// <summary>The bytes of the access: 1, 2, 4 or 8; 0 for other reasons.</summary>
    public uint Size;

    /// <summary>The number of the exit on this processor, which the resume record echoes.</summary>
    public uint Sequence;

    /// <summary>The registers before the instruction.</summary>
    public ProcessorState State;
}
