using Microsoft.Win32.SafeHandles;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Firmware.Machine;

/// <summary>A processor of a virtual machine: each of these instructions is a VM exit.</summary>
public sealed class TrappingProcessor(VirtualProcessor processor) : IProcessor
{
    /// <inheritdoc/>
    public ref ProcessorState State => ref processor.State;

    /// <inheritdoc/>
    public ulong Read(ulong address, int size) => processor.ReadMmio(address, size);

    /// <inheritdoc/>
    public void Write(ulong address, int size, ulong value) => processor.WriteMmio(address, size, value);

    /// <inheritdoc/>
    public int Halt() => processor.Halt();

    /// <inheritdoc/>
    public HypercallStatus Call(ulong code, ulong p1 = 0) => processor.Invoke(code, p1);

    /// <inheritdoc/>
    public HypercallStatus Call(ulong code, ulong p1, out SafeFileHandle? descriptor) => processor.Invoke(code, p1, out descriptor);
}
