using VmShunt.Guest.Firmware.Machine;
using VmShunt.Ring.Interop;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Machine;

/// <summary>The hypercalls of the hypervisor under this kernel. One thread: the processor's.</summary>
internal sealed class Hypervisor
{
    private readonly IProcessor _processor;

    private Hypervisor(IProcessor processor) => _processor = processor;

    /// <summary>Detects the VmShunt hypervisor.</summary>
    /// <returns>Null on a physical machine and under another hypervisor.</returns>
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

    /// <summary>The same hypervisor, called from another processor.</summary>
    internal Hypervisor On(IProcessor processor) => new(processor);

    /// <summary>Whether a bus is offered for an emulated disk.</summary>
    internal bool OffersBus(ulong disk) => _processor.Call(Hypercall.QueryBus, disk) == HypercallStatus.Success && _processor.State.Rbx == 1;

    /// <summary>Opens a disk's bus.</summary>
    /// <exception cref="IOException">The hypervisor does not open it.</exception>
    internal UnixConnection OpenBus(ulong disk)
    {
        var status = _processor.Call(Hypercall.OpenBus, disk, out var descriptor);
        return status == HypercallStatus.Success && descriptor is not null
            ? UnixConnection.FromDescriptor(descriptor)
            : throw new IOException($"the hypervisor did not open the bus: {status}");
    }

    /// <summary>Closes a disk's bus; returns when VM-H has unmapped the guest's memory.</summary>
    internal void CloseBus(ulong disk) => _processor.Call(Hypercall.CloseBus, disk);

    /// <summary>
    /// Reports that the machine has crashed. When this returns, only this processor runs, and the RAM is in
    /// <see cref="IMachine.DumpMemory"/>, where no ring reaches it.
    /// </summary>
    /// <param name="code">The reason.</param>
    internal void ReportCrash(ulong code) => _processor.Call(Hypercall.Crash, code);
}
