namespace VmShunt.Sandbox;

/// <summary>An instruction of a seccomp filter: <c>struct sock_filter</c> (linux/filter.h).</summary>
/// <param name="Code">The operation.</param>
/// <param name="IfTrue">How many instructions a comparison that holds skips.</param>
/// <param name="IfFalse">How many one that does not hold skips.</param>
/// <param name="Operand">Its constant.</param>
internal readonly record struct FilterInstruction(ushort Code, byte IfTrue, byte IfFalse, uint Operand)
{
    /// <summary>Loads 32 bits of <c>struct seccomp_data</c>: BPF_LD | BPF_W | BPF_ABS.</summary>
    internal const ushort LoadWord = 0x20;

    /// <summary>BPF_JMP | BPF_JEQ | BPF_K.</summary>
    internal const ushort JumpIfEqual = 0x15;

    /// <summary>BPF_JMP | BPF_JGE | BPF_K.</summary>
    internal const ushort JumpIfAtLeast = 0x35;

    /// <summary>BPF_ALU | BPF_AND | BPF_K.</summary>
    internal const ushort And = 0x54;

    /// <summary>BPF_RET | BPF_K.</summary>
    internal const ushort Return = 0x06;
}
