namespace VmShunt.Ring.Memory;

/// <summary>
/// A ring's calls into its device, which may take long, so that a stop can abandon the one in progress instead of waiting for
/// it. The thread that serves the ring enters and leaves; a call costs it two stores. The thread that stops the ring abandons.
/// </summary>
/// <param name="stopping">Raised before a call is abandoned.</param>
public sealed class DeviceCalls(SharedFlag stopping)
{
    private readonly Lock _deciding = new();
    private bool _isInside, _isAbandoned;

    /// <summary>Whether the thread that serves the ring lost it to a stop: it touches neither the ring nor the guest's memory any more. On that thread.</summary>
    // Settled when the call is left.
    public bool IsAbandoned => _isAbandoned;

    /// <summary>Begins a call. Until it is left, nothing but the device's own code may touch the guest's memory.</summary>
    public void Enter() => Ordered.Store(ref _isInside, true);

    /// <summary>Leaves the call.</summary>
    /// <returns>False when it was abandoned.</returns>
    public bool TryLeave()
    {
        // TryAbandon has the fence between the two: either it sees the store, or this sees the flag.
        Ordered.Store(ref _isInside, false);
        return !stopping.IsRaised || TryKeep();
    }

    /// <summary>Abandons the call in progress. Not on the thread that serves the ring, and only with the flag raised.</summary>
    /// <returns>False when there is none.</returns>
    public bool TryAbandon()
    {
        Fence.StoreBeforeLoadEverywhere();
        lock (_deciding) return _isAbandoned |= Ordered.Load(ref _isInside);
    }

    private bool TryKeep()
    {
        lock (_deciding) return !_isAbandoned;
    }
}
