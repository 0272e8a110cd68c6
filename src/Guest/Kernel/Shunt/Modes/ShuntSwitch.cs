using VmShunt.Ring.Memory;

namespace VmShunt.Guest.Shunt.Modes;

/// <summary>
/// The mode of a shunt: its owner sets it, the shunt loads it once per request. Requests in flight are not affected. Any
/// thread.
/// </summary>
internal sealed class ShuntSwitch
{
    private bool _isDiverting;

    // Acquires: a request that is diverted finds the channel that was attached before Divert.
    internal bool IsDiverting => Ordered.Load(ref _isDiverting);

    /// <summary>Enlightened mode.</summary>
    internal void Divert() => Ordered.Store(ref _isDiverting, true);

    /// <summary>Emulating mode.</summary>
    internal void PassDown() => Ordered.Store(ref _isDiverting, false);
}
