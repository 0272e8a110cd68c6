using System.Numerics;
using System.Runtime.InteropServices;
using VmShunt.Trap.VmExit;

namespace VmShunt.Trap.VfioUser;

/// <summary>How the suspended virtual processor is to be restarted.</summary>
public enum TrapAction : uint
{
    /// <summary>With the changed registers; at an unchanged instruction pointer it executes the instruction again.</summary>
    Resume = 1,

    /// <summary>With a fault.</summary>
    Fault = 2,
}

/// <summary>The registers of <see cref="ProcessorState"/>, a bit each in the order of its fields.</summary>
[Flags]
public enum ProcessorRegisters : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>RAX.</summary>
    Rax = 1u << 0,

    /// <summary>RBX.</summary>
    Rbx = 1u << 1,

    /// <summary>RCX.</summary>
    Rcx = 1u << 2,

    /// <summary>RDX.</summary>
    Rdx = 1u << 3,

    /// <summary>RSI.</summary>
    Rsi = 1u << 4,

    /// <summary>RDI.</summary>
    Rdi = 1u << 5,

    /// <summary>RBP.</summary>
    Rbp = 1u << 6,

    /// <summary>The stack pointer.</summary>
    Rsp = 1u << 7,

    /// <summary>R8.</summary>
    R8 = 1u << 8,

    /// <summary>R9.</summary>
    R9 = 1u << 9,

    /// <summary>R10.</summary>
    R10 = 1u << 10,

    /// <summary>R11.</summary>
    R11 = 1u << 11,

    /// <summary>R12.</summary>
    R12 = 1u << 12,

    /// <summary>R13.</summary>
    R13 = 1u << 13,

    /// <summary>R14.</summary>
    R14 = 1u << 14,

    /// <summary>R15.</summary>
    R15 = 1u << 15,

    /// <summary>The instruction pointer.</summary>
    Rip = 1u << 16,

    /// <summary>The flags.</summary>
    Rflags = 1u << 17,

    /// <summary>All of them.</summary>
    All = (Rflags << 1) - 1,
}

/// <summary>
/// The answer to a <see cref="TrappedAccess"/>: names the exit that it answers, and carries the registers to change or a
/// fault. In the message each changed register follows a header of 24 bytes with 8 bytes, in the order of the bits.
/// </summary>
/// <remarks>
/// <code>
/// offset size field
///      0    4 Partition  that of the access
///      4    4 Processor  that of the access
///      8    4 Sequence   that of the access
///     12    4 Action     TrapAction
///     16    4 Changed    ProcessorRegisters; none with a fault
///     20    4 Errno      the cause of a fault, else 0
///     24  8 n values of the changed registers
/// </code>
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
public struct TrapAnswer
{
    internal const int HeaderBytes = 24, MaxBytes = HeaderBytes + 18 * sizeof(ulong);

    /// <summary>The partition of the answered access.</summary>
    public uint Partition;

    /// <summary>The virtual processor of the answered access.</summary>
    public uint Processor;

    /// <summary>The number of the answered exit.</summary>
    public uint Sequence;

    /// <summary>How the processor is to be restarted.</summary>
    public TrapAction Action;

    /// <summary>The registers to change.</summary>
    public ProcessorRegisters Changed;

    /// <summary>The cause of a fault; an errno value.</summary>
    public uint Errno;

    /// <summary>The values of the changed registers; the others have no meaning.</summary>
    public ProcessorState State;

    /// <summary>Whether it answers this access.</summary>
    internal readonly bool Answers(in TrappedAccess access) =>
        (Partition, Processor, Sequence) == (access.Partition, access.Processor, access.Sequence);

    /// <summary>Writes the message's payload.</summary>
    /// <returns>Its length.</returns>
    internal int Write(Span<byte> target)
    {
        var bytes = MemoryMarshal.AsBytes(new Span<TrapAnswer>(ref this));
        bytes[..HeaderBytes].CopyTo(target);
        var length = HeaderBytes;
        for (var left = (uint)Changed; left != 0; left &= left - 1)
        {
            bytes.Slice(HeaderBytes + BitOperations.TrailingZeroCount(left) * sizeof(ulong), sizeof(ulong)).CopyTo(target[length..]);
            length += sizeof(ulong);
        }
        return length;
    }

    /// <summary>Reads a payload.</summary>
    /// <returns>False when it names a register that does not exist, or its length is not that of the registers it names.</returns>
    internal static bool TryRead(ReadOnlySpan<byte> payload, out TrapAnswer answer)
    {
        answer = default;
        if (payload.Length < HeaderBytes) return false;
        var bytes = MemoryMarshal.AsBytes(new Span<TrapAnswer>(ref answer));
        payload[..HeaderBytes].CopyTo(bytes);
        var changed = (uint)answer.Changed;
        if ((changed & ~(uint)ProcessorRegisters.All) != 0) return false;
        if (payload.Length != HeaderBytes + BitOperations.PopCount(changed) * sizeof(ulong)) return false;
        var from = HeaderBytes;
        for (; changed != 0; changed &= changed - 1)
        {
            payload.Slice(from, sizeof(ulong)).CopyTo(bytes[(HeaderBytes + BitOperations.TrailingZeroCount(changed) * sizeof(ulong))..]);
            from += sizeof(ulong);
        }
        return true;
    }
}
