using VmShunt.Trap.VfioUser;
using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>
/// What VM-H may change of a suspended processor: the destination register of the decoded load, to a value that the load can
/// have, and the instruction pointer, to the next instruction. All else stays the guest's and the hypervisor's.
/// </summary>
internal static class TrapVerdict
{
    /// <summary>How often in a row VM-H may have the same instruction executed again.</summary>
    internal const int MaxRetries = 16;

    /// <summary>Applies an answer to the processor's registers. The instruction pointer stays: resuming advances it.</summary>
    /// <returns>False when the processor is to execute the instruction again.</returns>
    /// <exception cref="IOException">VM-H may not change what it names. Then nothing is changed.</exception>
    internal static bool Apply(in TrappedAccess access, in TrapAnswer answer, ref ProcessorState state)
    {
        var allowed = ProcessorRegisters.Rip | (access.Reason == ExitReason.MmioRead ? ProcessorRegisters.Rax : ProcessorRegisters.None);
        if ((answer.Changed & ~allowed) is not ProcessorRegisters.None and var others)
            throw new IOException($"VM-H named {others} to change; an access of {Kind(access)} changes {allowed}");
        var next = access.State.Rip + access.InstructionLength;
        var jumps = (answer.Changed & ProcessorRegisters.Rip) != 0 && answer.State.Rip != access.State.Rip;
        if (jumps && answer.State.Rip != next)
            throw new IOException($"VM-H set the instruction pointer to 0x{answer.State.Rip:x}; it may be 0x{access.State.Rip:x} or 0x{next:x}");
        var loads = (answer.Changed & ProcessorRegisters.Rax) != 0;
        if (loads && access.Size < sizeof(ulong) && answer.State.Rax >> (int)(8 * access.Size) != 0)
            throw new IOException($"VM-H answered a load of {access.Size} bytes with 0x{answer.State.Rax:x}");
        // A load that is complete has a value.
        if (jumps && !loads && access.Reason == ExitReason.MmioRead) throw new IOException("VM-H completed a load without a value");
        if (loads) state.Rax = answer.State.Rax;
        return jumps;
    }

    private static string Kind(in TrappedAccess access) => access.Reason == ExitReason.MmioRead ? "this load" : "this store";
}
