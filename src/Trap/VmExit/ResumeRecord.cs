using System.Runtime.InteropServices;

namespace VmShunt.Trap.VmExit;

/// <summary>How a virtual processor continues after an exit.</summary>
public enum ResumeAction : uint
{
    /// <summary>Continue with the new state.</summary>
    Resume = 1,

    /// <summary>Raise a machine check: the access failed. A text says why.</summary>
    Fault = 2,

    /// <summary>Stop: the partition was powered off.</summary>
    Stop = 3,
}

/// <summary>The cause of a machine check.</summary>
public enum FaultCode : uint
{
    /// <summary>No fault.</summary>
    None = 0,

    /// <summary>The exit record was invalid.</summary>
    BadExit = 1,

    /// <summary>The device at the address did not answer, or refused the access.</summary>
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
///      8    4 InstructionLength  bytes of the skipped instruction, already added to State.Rip; 0: it is executed again
///     12    4 Vector             injected interrupt, or 0
///     16    4 DescriptorCount    descriptors sent with this record: 0 or 1
///     20    4 FaultCode          FaultCode
///     24    4 TextLength         bytes of text after the record, at most 1024
///     28    4 (zero)
///     32  144 State              ProcessorState after the instruction
/// </code>
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
public struct ResumeRecord
{
    /// <summary>The largest text that follows a record, in bytes.</summary>
    public const int MaxTextBytes = 1024;

    /// <summary>How the processor continues.</summary>
    public ResumeAction Action;

    /// <summary>The sequence number of the exit.</summary>
    public uint Sequence;

    /// <summary>
    /// The length in bytes of the skipped instruction, already added to the instruction pointer in <see cref="State"/>; 0: the
    /// processor executes the instruction again.
    /// </summary>
    public uint InstructionLength;

    /// <summary>The vector of the injected interrupt, or 0.</summary>
    public uint Vector;

    /// <summary>The number of descriptors sent with the record: 0 or 1.</summary>
    public uint DescriptorCount;

    /// <summary>The cause of a fault.</summary>
    public FaultCode FaultCode;

    /// <summary>The number of bytes of UTF-8 text after the record.</summary>
    public uint TextLength;

    private readonly uint _zero;

    /// <summary>The registers after the instruction.</summary>
    public ProcessorState State;
}
