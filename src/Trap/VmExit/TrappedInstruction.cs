namespace VmShunt.Trap.VmExit;

/// <summary>
/// The x86-64 instructions that trap. The hypervisor skips them, so it knows their lengths without reading guest memory.
/// </summary>
public static class TrappedInstruction
{
    /// <summary>The length in bytes of the instruction that caused an exit; 0 for an invalid reason or size.</summary>
    public static uint Length(ExitReason reason, uint size) => (reason, size) switch
    {
        (ExitReason.MmioRead, 1) => 3,   // movzx eax, byte [rdx]   0F B6 02
        (ExitReason.MmioRead, 2) => 3,   // movzx eax, word [rdx]   0F B7 02
        (ExitReason.MmioRead, 4) => 2,   // mov eax, [rdx]          8B 02
        (ExitReason.MmioRead, 8) => 3,   // mov rax, [rdx]          48 8B 02
        (ExitReason.MmioWrite, 1) => 2,  // mov [rdx], al           88 02
        (ExitReason.MmioWrite, 2) => 3,  // mov [rdx], ax           66 89 02
        (ExitReason.MmioWrite, 4) => 2,  // mov [rdx], eax          89 02
        (ExitReason.MmioWrite, 8) => 3,  // mov [rdx], rax          48 89 02
        (ExitReason.Hypercall, _) => 3,  // vmcall                  0F 01 C1
        (ExitReason.Halt, _) => 1,       // hlt                     F4
        _ => 0,
    };
}
