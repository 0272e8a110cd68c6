using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Requests;
using VmShunt.Guest.Shunt;

namespace VmShunt.Guest.Observing;

/// <summary>The values that <see cref="GuestMeter"/> reads. Called on the meter's listener thread.</summary>
/// <param name="EmulatingDisk">The class driver of the emulating stack, or null.</param>
/// <param name="EnlightenedDisk">The class driver of the enlightened stack, or null.</param>
/// <param name="Channel">The channel to VM-H; null while the bus is lost.</param>
/// <param name="Shunt">The shunt's counters, or null.</param>
/// <param name="RegisterAccesses">Accesses to device registers since boot.</param>
/// <param name="Reconnects">Reconnects of the bus or its back-end.</param>
/// <param name="IsEnlightened">Whether requests are shunted.</param>
internal sealed record MeteredGuest(
    Func<DiskClassDriver?> EmulatingDisk,
    Func<DiskClassDriver?> EnlightenedDisk,
    Func<BusChannel?> Channel,
    Func<ShuntCounters?> Shunt,
    Func<long> RegisterAccesses,
    Func<int> Reconnects,
    Func<bool> IsEnlightened);
