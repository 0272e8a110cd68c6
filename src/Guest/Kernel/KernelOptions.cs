using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Mode;

namespace VmShunt.Guest;

/// <summary>How a kernel is started.</summary>
/// <param name="Mode">The mode to enter at the start; null: enlightened where the bus is offered.</param>
/// <param name="BusSocket">A vhost-user-blk socket to use without a hypervisor, or null.</param>
/// <param name="Wait">How long the back-end of that socket may take to come to be there.</param>
/// <param name="MemoryBytes">The memory of a guest without a hypervisor.</param>
/// <param name="Bus">How the bus is used.</param>
/// <param name="Shunt">What kind of shunt the emulating stack has.</param>
/// <param name="Suppresses">Whether the shunt hides the emulated disk from queries while the enlightened stack is there.</param>
/// <param name="ReverseShunt">Where the reverse shunt diverts to from the start, or null.</param>
/// <param name="RemovesEmulating">Whether the emulating stack is taken away once the guest is enlightened.</param>
/// <param name="Processors">How many processors applications run on.</param>
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
    int Processors);
