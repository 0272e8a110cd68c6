using System.Runtime.InteropServices;

namespace VmShunt.Trap.VmExit;

/// <summary>
/// The registers of a virtual processor at an exit and after it: general registers, instruction pointer and flags, 18 words
/// of 8 bytes in the order of the fields.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct ProcessorState
{
    /// <summary>The value read or to be written; the status of a hypercall.</summary>
    public ulong Rax;

    /// <summary>First result of a hypercall.</summary>
    public ulong Rbx;

    /// <summary>A hypercall's code; its second result.</summary>
    public ulong Rcx;

    /// <summary>The address of a memory access; a hypercall's first parameter and third result.</summary>
    public ulong Rdx;

    /// <summary>A general register.</summary>
    public ulong Rsi;

    /// <summary>A general register.</summary>
    public ulong Rdi;

    /// <summary>The frame pointer.</summary>
    public ulong Rbp;

    /// <summary>The stack pointer.</summary>
    public ulong Rsp;

    /// <summary>A hypercall's second parameter.</summary>
    public ulong R8;

    /// <summary>A hypercall's third parameter.</summary>
    public ulong R9;

    /// <summary>A general register.</summary>
    public ulong R10;

    /// <summary>A general register.</summary>
    public ulong R11;

    /// <summary>A general register.</summary>
    public ulong R12;

    /// <summary>A general register.</summary>
    public ulong R13;

    /// <summary>A general register.</summary>
    public ulong R14;

    /// <summary>A general register.</summary>
    public ulong R15;

    /// <summary>The instruction pointer: at the exit, of the trapped instruction; after it, of the next.</summary>
    public ulong Rip;

    /// <summary>The flags.</summary>
    public ulong Rflags;
}
