using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Memory;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Firmware.Machine;

/// <summary>A machine that a hypervisor emulates.</summary>
/// <param name="partition">The partition that the hypervisor created; owned by the caller.</param>
public sealed class VirtualMachine(GuestPartition partition) : IMachine
{
    private VirtualProcessor? _boot;

    /// <inheritdoc/>
    public GuestMemory Memory => partition.Memory;

    /// <inheritdoc/>
    public GuestMemory DumpMemory => partition.DumpMemory;

    /// <inheritdoc/>
    public SafeFileHandle MemoryFile => partition.MemoryFile;

    /// <inheritdoc/>
    public IReadOnlyList<MemoryPart> Parts => partition.Parts;

    /// <inheritdoc/>
    public ulong RamBytes => partition.RamBytes;

    /// <inheritdoc/>
    public ulong CrashReserveAddress => partition.CrashReserveAddress;

    /// <inheritdoc/>
    public int CrashReserveBytes => partition.CrashReserveBytes;

    /// <inheritdoc/>
    public ulong EcamAddress => partition.EcamAddress;

    /// <inheritdoc/>
    public IProcessor StartProcessor(int index)
    {
        var processor = partition.StartProcessor(index);
        if (index == 0) _boot = processor;
        return new TrappingProcessor(processor);
    }

    /// <summary>Powers the machine off. Called on the thread of processor 0.</summary>
    public void PowerOff()
    {
        try
        {
            _boot?.Invoke(Hypercall.PowerOff);
        }
        catch (HypervisorLostException)
        {
            // The hypervisor exited first: the machine is off.
        }
    }
}
