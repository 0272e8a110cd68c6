using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Firmware.Ahci;

/// <summary>Register access by one virtual processor: each is a VM exit. One thread at a time, the processor's.</summary>
public sealed class ProcessorMmio(VirtualProcessor processor) : IMmio
{
    /// <inheritdoc/>
    public ulong Read(ulong address, int size) => processor.ReadMmio(address, size);

    /// <inheritdoc/>
    public void Write(ulong address, int size, ulong value) => processor.WriteMmio(address, size, value);
}
