using System.Runtime.InteropServices;

namespace VmShunt.Trap.VmExit;

/// <summary>What a virtual processor is to do after its exit.</summary>
public enum ResumeAction : uint
{
    /// <summary>Take the new state and go on.</summary>
    Resume = 1,

    /// <summary>Raise a machine check: the access could not be carried out. A text says why.</summary>
    Fault = 2,

    /// <summary>Stop for good: the partition was powered off.</summary>
    Stop = 3,
}

/// <summary>Why a virtual processor gets a machine check.</summary>
public enum FaultCode : uint
{
    /// <summary>No fault.</summary>
    None = 0,

    /// <summary>The exit record itself was wrong.</summary>
    BadExit = 1,

    /// <summary>The device behind the address did not answer, or refused.</summary>
    DeviceFailed = 2,
}

/// <summary>
/// The hypervisor's answer to an <see cref="ExitRecord"/>. 176 bytes, little-endian, followed by
/// <see cref="TextLength"/> bytes of UTF-8 text.
/// </summary>
/// <remarks>
/// <code>
/// offset size field
///      0    4 Action             ResumeAction
///      4    4 Sequence           that of the exit
///      8    4 InstructionLength  bytes that were skipped: already added to State.Rip
///     12    4 Vector             injected interrupt, or 0
///     16    4 DescriptorCount    descriptors that travel with this record: 0 or 1
///     20    4 FaultCode          FaultCode
///     24    4 TextLength         bytes of text after the record, at most 1024
///     28    4 (zero)
///     32  144 State              ProcessorState after the instruction
/// </code>
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
public struct ResumeRecord
{
    /// <summary>The most bytes of text that follow a record.</summary>
    public const int MaxTextBytes = 1024;

    /// <summary>What the processor is to do.</summary>
    public ResumeAction Action;

    /// <summary>The sequence of the exit that this answers.</summary>
    public uint Sequence;

    /// <summary>The length in bytes of the instruction that was carried out; <see cref="State"/> points behind it.</summary>
    public uint InstructionLength;

    /// <summary>The vector of the interrupt that is injected, or 0.</summary>
    public uint Vector;

    /// <summary>How many descriptors travel with the record: 0 or 1.</summary>
    public uint DescriptorCount;

    /// <summary>Why a fault is raised.</summary>
    public FaultCode FaultCode;

    /// <summary>How many bytes of UTF-8 text follow the record.</summary>
    public uint TextLength;

    private readonly uint _zero;

    /// <summary>The processor after the instruction.</summary>
    public ProcessorState State;
}
