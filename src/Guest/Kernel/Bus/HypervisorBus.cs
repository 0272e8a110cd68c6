using VmShunt.Guest.Machine;
using VmShunt.Ring.Interop;

namespace VmShunt.Guest.Bus;

/// <summary>The bus to a disk as the hypervisor offers it. One thread at a time.</summary>
/// <param name="hypervisor">Null on a machine without one of ours.</param>
/// <param name="disk">Which disk.</param>
internal sealed class HypervisorBus(Hypervisor? hypervisor, ulong disk)
{
    internal bool IsOffered() => hypervisor?.OffersBus(disk) == true;

    /// <summary>Has the bus opened.</summary>
    /// <returns>Connected to VM-H; the caller's.</returns>
    /// <exception cref="IOException">There is none, or it cannot be opened.</exception>
    internal UnixConnection Open()
    {
        if (hypervisor is null) throw new IOException("no hypervisor of ours is here, so there is no bus; only the emulating mode is possible");
        if (!hypervisor.OffersBus(disk)) throw new IOException("the hypervisor offers no bus for this disk; only the emulating mode is possible");
        return hypervisor.OpenBus(disk);
    }

    /// <summary>Tells the hypervisor that the channel is closed.</summary>
    internal void Close() => hypervisor?.CloseBus(disk);
}
