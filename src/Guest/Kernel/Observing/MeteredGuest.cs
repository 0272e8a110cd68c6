using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Shunt;

namespace VmShunt.Guest.Observing;

/// <summary>What <see cref="GuestMeter"/> reads of a running guest. Each member is called from the meter's listener thread.</summary>
/// <param name="EmulatingDisk">The class driver of the emulating stack; null while there is none.</param>
/// <param name="EnlightenedDisk">The class driver of the enlightened stack; null while there is none.</param>
/// <param name="Channel">The channel to VM-H; null while the bus is away.</param>
/// <param name="Shunt">What the shunt decided; null without one.</param>
/// <param name="RegisterAccesses">Accesses to device registers since boot.</param>
/// <param name="Reconnects">How often the bus, or its back-end, came back.</param>
/// <param name="IsEnlightened">Whether requests are shunted.</param>
internal sealed record MeteredGuest(
    Func<DiskClassDriver?> EmulatingDisk,
    Func<DiskClassDriver?> EnlightenedDisk,
    Func<BusChannel?> Channel,
    Func<ShuntCounters?> Shunt,
    Func<long> RegisterAccesses,
    Func<int> Reconnects,
    Func<bool> IsEnlightened);
