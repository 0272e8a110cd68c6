using System.Runtime.InteropServices;

namespace VmShunt.Trap.VmExit;

/// <summary>Why a virtual processor stopped.</summary>
public enum ExitReason : uint
{
    /// <summary>A load from an address that is no memory: <c>mov rax, [rdx]</c>.</summary>
    MmioRead = 1,

    /// <summary>A store to an address that is no memory: <c>mov [rdx], rax</c>.</summary>
    MmioWrite = 2,

    /// <summary>A call to the hypervisor: <c>vmcall</c>.</summary>
    Hypercall = 3,

    /// <summary>Nothing to do until an interrupt: <c>hlt</c>.</summary>
    Halt = 4,
}

/// <summary>
/// What a virtual processor sends when it stops; it runs no further until the <see cref="ResumeRecord"/> is there.
/// 168 bytes, little-endian.
/// </summary>
/// <remarks>
/// <code>
/// offset size field
///      0    4 Processor   index of the virtual processor
///      4    4 Reason      ExitReason
///      8    8 Address     guest-physical address of the access, else 0
///     16    4 Size        bytes of the access (1, 2, 4, 8), else 0
///     20    4 Sequence    counts the exits of this processor; echoed in the resume
///     24  144 State       ProcessorState before the instruction
/// </code>
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
public struct ExitRecord
{
    /// <summary>The index of the virtual processor.</summary>
    public uint Processor;

    /// <summary>Why it stopped.</summary>
    public ExitReason Reason;

    /// <summary>The guest-physical address of the access; 0 for other reasons.</summary>
    public ulong Address;

    /// <summary>The bytes of the access: 1, 2, 4 or 8; 0 for other reasons.</summary>
    public uint Size;

    /// <summary>Counts the exits of this processor; the resume echoes it.</summary>
    public uint Sequence;

    /// <summary>The processor before the instruction.</summary>
    public ProcessorState State;
}
