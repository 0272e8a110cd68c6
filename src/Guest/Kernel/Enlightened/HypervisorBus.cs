using VmShunt.Guest.Machine;
using VmShunt.Ring.Interop;

namespace VmShunt.Guest.Enlightened;

/// <summary>The bus to one disk, offered by the hypervisor. Any thread.</summary>
/// <param name="hypervisor">Null on a machine without our hypervisor.</param>
/// <param name="processors">Processors for the hypercalls.</param>
/// <param name="disk">The disk's number.</param>
internal sealed class HypervisorBus(Hypervisor? hypervisor, MachineProcessors processors, ulong disk)
{
    internal bool IsOffered() => hypervisor is not null && processors.Use(processor => hypervisor.On(processor).OffersBus(disk));

    /// <summary>Opens the bus.</summary>
    /// <returns>A socket that is connected to VM-H.</returns>
    /// <exception cref="IOException">There is none, or it cannot be opened.</exception>
    internal UnixConnection Open()
    {
        if (hypervisor is null) throw new IOException("this machine does not run on the VmShunt hypervisor, so it has no bus; only the emulating mode is possible");
        if (!IsOffered()) throw new IOException("the hypervisor offers no bus for this disk; only the emulating mode is possible");
        return processors.Use(processor => hypervisor.On(processor).OpenBus(disk));
    }

    /// <summary>Closes the bus; returns when VM-H has unmapped the guest's memory.</summary>
    internal void Close() => processors.Use(processor =>
    {
        hypervisor?.On(processor).CloseBus(disk);
        return true;
    });

    /// <summary>Reports to the hypervisor that the machine has crashed.</summary>
    internal void ReportCrash(ulong code) => processors.Use(processor =>
    {
        hypervisor?.On(processor).ReportCrash(code);
        return true;
    });
}
