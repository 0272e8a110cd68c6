using VmShunt.Guest.Machine;
using VmShunt.Ring.Interop;

namespace VmShunt.Guest.Enlightened;

/// <summary>The bus to a disk as the hypervisor offers it. Any thread.</summary>
/// <param name="hypervisor">Null on a machine without one of ours.</param>
/// <param name="processors">Who calls it.</param>
/// <param name="disk">Which disk.</param>
internal sealed class HypervisorBus(Hypervisor? hypervisor, MachineProcessors processors, ulong disk)
{
    internal bool IsOffered() => hypervisor is not null && processors.Use(processor => hypervisor.On(processor).OffersBus(disk));

    /// <summary>Has the bus opened.</summary>
    /// <returns>Connected to VM-H; the caller's.</returns>
    /// <exception cref="IOException">There is none, or it cannot be opened.</exception>
    internal UnixConnection Open()
    {
        if (hypervisor is null) throw new IOException("no hypervisor of ours is here, so there is no bus; only the emulating mode is possible");
        if (!IsOffered()) throw new IOException("the hypervisor offers no bus for this disk; only the emulating mode is possible");
        return processors.Use(processor => hypervisor.On(processor).OpenBus(disk));
    }

    /// <summary>Tells the hypervisor that the channel is closed.</summary>
    internal void Close() => processors.Use(processor =>
    {
        hypervisor?.On(processor).CloseBus(disk);
        return true;
    });

    /// <summary>Tells the hypervisor that the machine has crashed.</summary>
    internal void ReportCrash(ulong code) => processors.Use(processor =>
    {
        hypervisor?.On(processor).ReportCrash(code);
        return true;
    });
}
