using VmShunt.Guest.Firmware.Machine;
using VmShunt.Ring.Interop;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Machine;

/// <summary>The hypervisor under this kernel, as discovery found it: what it can be asked for. One thread, the processor's.</summary>
internal sealed class Hypervisor
{
    private readonly IProcessor _processor;

    private Hypervisor(IProcessor processor) => _processor = processor;

    /// <summary>Looks whether there is one, and whether it is one of ours.</summary>
    /// <returns>Null on a physical machine, and under a hypervisor that nothing is known of.</returns>
    internal static Hypervisor? Find(IProcessor processor)
    {
        try
        {
            if (processor.Call(Hypercall.Identify) != HypercallStatus.Success) return null;
        }
        catch (InvalidOpcodeException)
        {
            return null;
        }
        return processor.State.Rbx == Hypercall.SignatureLow && processor.State.Rcx == Hypercall.SignatureHigh ? new Hypervisor(processor) : null;
    }

    /// <summary>The same, called from another processor.</summary>
    internal Hypervisor On(IProcessor processor) => new(processor);

    /// <summary>Whether an emulated disk can be reached over a bus.</summary>
    internal bool OffersBus(ulong disk) => _processor.Call(Hypercall.QueryBus, disk) == HypercallStatus.Success && _processor.State.Rbx == 1;

    /// <summary>Opens a disk's bus.</summary>
    /// <exception cref="IOException">It does not open.</exception>
    internal UnixConnection OpenBus(ulong disk)
    {
        var status = _processor.Call(Hypercall.OpenBus, disk, out var descriptor);
        return status == HypercallStatus.Success && descriptor is not null
            ? UnixConnection.FromDescriptor(descriptor)
            : throw new IOException($"the hypervisor did not open the bus: {status}");
    }

    /// <summary>Gives a disk's bus up; returns when VM-H has let the memory go.</summary>
    internal void CloseBus(ulong disk) => _processor.Call(Hypercall.CloseBus, disk);

    /// <summary>
    /// Says that the machine has crashed. When this returns, only this processor runs, and the RAM is where no ring reaches
    /// it: in <see cref="IMachine.DumpMemory"/>.
    /// </summary>
    /// <param name="code">Why.</param>
    internal void ReportCrash(ulong code) => _processor.Call(Hypercall.Crash, code);
}
