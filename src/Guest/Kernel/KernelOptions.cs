using VmShunt.Guest.Bus;

namespace VmShunt.Guest;

/// <summary>How a kernel is started.</summary>
/// <param name="Mode">The mode to enter at the start; null: enlightened where the bus is offered.</param>
/// <param name="BusSocket">A vhost-user-blk socket to use without a hypervisor, or null.</param>
/// <param name="MemoryBytes">The memory of a guest without a hypervisor.</param>
/// <param name="Bus">How the bus is used.</param>
internal sealed record KernelOptions(GuestMode? Mode, string? BusSocket, long MemoryBytes, BusOptions Bus);
