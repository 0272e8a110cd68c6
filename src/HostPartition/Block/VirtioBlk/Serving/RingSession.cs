using VmShunt.BlockBackend.Transition;

namespace VmShunt.BlockBackend.VirtioBlk.Serving;

/// <summary>The rings of a vhost-user session, as a transition commands them.</summary>
internal sealed class RingSession : IRingPath
{
    private readonly Lock _lock = new();
    private readonly List<IGuardedRing> _rings = [];
    private long _closed;

    public RingGate Gate { get; } = new();

    /// <summary>The session among those of all guests.</summary>
    internal RingMember? Member { get; set; }

    public long Requests
    {
        get
        {
            lock (_lock) return _closed + _rings.Sum(static ring => ring.Requests);
        }
    }

    public void Mark()
    {
        lock (_lock)
        {
            foreach (var ring in _rings) ring.Mark();
        }
    }

    public bool HasPublished()
    {
        lock (_lock) return _rings.Exists(static ring => ring.HasPublished());
    }

    public void Wake()
    {
        lock (_lock)
        {
            foreach (var ring in _rings) ring.Wake();
        }
    }

    public bool IsQuiet(int word)
    {
        lock (_lock) return _rings.TrueForAll(ring => ring.IsQuiet(word));
    }

    /// <summary>A ring starts.</summary>
    internal void Add(IGuardedRing ring)
    {
        lock (_lock)
        {
            _rings.Add(ring);
            // What a dead kernel published while the ring was stopped proves nothing.
            ring.Mark();
        }
    }

    /// <summary>A ring has ended; it uses the guest's memory no more.</summary>
    internal void Remove(IGuardedRing ring)
    {
        lock (_lock)
        {
            if (_rings.Remove(ring)) _closed += ring.Requests;
        }
    }

    /// <summary>A ring has a chain that was published after the mark.</summary>
    internal void ReportAlive() => Member?.Transition?.OldKernelLives();

    /// <summary>A ring has failed a request by its order.</summary>
    internal void ReportFailure() => Member?.Transition?.RingFailed();
}
