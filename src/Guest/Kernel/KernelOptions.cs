using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Mode;

namespace VmShunt.Guest;

/// <summary>The options of a kernel.</summary>
/// <param name="Mode">The initial mode; null: enlightened if the bus is offered.</param>
/// <param name="BusSocket">A vhost-user-blk socket to use without a hypervisor, or null.</param>
/// <param name="Wait">How long to wait for that socket.</param>
/// <param name="MemoryBytes">The memory of a guest without a hypervisor.</param>
/// <param name="Bus">The options of the bus.</param>
/// <param name="Shunt">The options of the shunt.</param>
/// <param name="Suppresses">Whether the shunt hides the emulated disk from queries while the enlightened stack exists.</param>
/// <param name="ReverseShunt">The initial target of the reverse shunt, or null.</param>
/// <param name="RemovesEmulating">Whether the emulating stack is removed once the guest is enlightened.</param>
/// <param name="Processors">The number of processors for applications.</param>
/// <param name="OverwritesDump">Whether a crash overwrites a dump that was not exported.</param>
internal sealed record KernelOptions(
    GuestMode? Mode,
    string? BusSocket,
    TimeSpan Wait,
    long MemoryBytes,
    BusOptions Bus,
    ShuntOptions Shunt,
    bool Suppresses,
    string? ReverseShunt,
    bool RemovesEmulating,
    int Processors,
    bool OverwritesDump);
