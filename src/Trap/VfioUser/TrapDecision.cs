using System.Buffers.Binary;
using VmShunt.Trap.VmExit;

namespace VmShunt.Trap.VfioUser;

/// <summary>
/// VM-H's decision about a trapped access: the device carries it out, and the answer puts the value of a load into its
/// destination register and the instruction pointer behind the instruction, or raises a fault.
/// </summary>
internal static class TrapDecision
{
    /// <summary>Whether the access can be carried out at all: a load or a store of 1, 2, 4 or 8 bytes.</summary>
    internal static bool IsValid(in TrappedAccess access) =>
        access.Reason is ExitReason.MmioRead or ExitReason.MmioWrite && TrappedInstruction.Length(access.Reason, access.Size) != 0;

    /// <summary>Carries out an access whose region, offset and size have been checked.</summary>
    internal static TrapAnswer Decide(IVfioUserDevice device, in TrappedAccess access)
    {
        var answer = new TrapAnswer
        {
            Partition = access.Partition,
            Processor = access.Processor,
            Sequence = access.Sequence,
            Action = TrapAction.Resume,
            Changed = ProcessorRegisters.Rip,
        };
        answer.State.Rip = access.State.Rip + access.InstructionLength;
        Span<byte> data = stackalloc byte[sizeof(ulong)];
        data.Clear();
        bool done;
        if (access.Reason == ExitReason.MmioWrite)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(data, access.State.Rax);
            done = device.WriteRegion((int)access.Region, access.Offset, data[..(int)access.Size]);
        }
        else
        {
            done = device.ReadRegion((int)access.Region, access.Offset, data[..(int)access.Size]);
            answer.Changed |= ProcessorRegisters.Rax;
            answer.State.Rax = BinaryPrimitives.ReadUInt64LittleEndian(data);
        }
        if (done) return answer;
        answer.Action = TrapAction.Fault;
        answer.Changed = ProcessorRegisters.None;
        answer.Errno = (uint)Errno.EIO;
        return answer;
    }
}
