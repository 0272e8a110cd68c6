using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Memory;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Firmware.Machine;

/// <summary>A machine that a hypervisor makes.</summary>
/// <param name="partition">It; stays the caller's.</param>
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

    /// <summary>Switches the machine off; the thread that runs on processor 0 does.</summary>
    public void PowerOff()
    {
        try
        {
            _boot?.Invoke(Hypercall.PowerOff);
        }
        catch (HypervisorLostException)
        {
            // It was faster.
        }
    }
}
