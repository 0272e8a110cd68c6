using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;
using VmShunt.Ring.Memory;

namespace VmShunt.Guest.Enlightened;

/// <summary>
/// The shunt of the enlightened stack, between its class driver and its port driver. Inert by default; it can divert every
/// request to the port driver (emulating) or to another disk's port driver. Switched live; requests in flight stay where
/// they are. Any thread.
/// </summary>
internal sealed class ReverseShunt(IPortDriver portDriverEn) : IBlockDriver
{
    private IPortDriver? _target;
    private long _diverted;

    public DiskGeometry Geometry => (Ordered.Load(ref _target) ?? portDriverEn).Geometry;

    /// <summary>Whether it diverts nothing.</summary>
    internal bool IsInert => Ordered.Load(ref _target) is null;

    /// <summary>Requests diverted so far.</summary>
    internal long Diverted => Interlocked.Read(ref _diverted);

    /// <summary>Diverts every request to a port driver, which is below every shunt: no request can loop.</summary>
    internal void Divert(IPortDriver target) => Ordered.Store(ref _target, target);

    /// <summary>Stops diverting.</summary>
    internal void BeInert() => Ordered.Store(ref _target, null);

    public void Submit(BlockRequest request)
    {
        // Loaded once per request: counted, traced and submitted for the same target.
        var target = Ordered.Load(ref _target);
        request.Trace?.Pass(Hop.ReverseShunt);
        if (target is null)
        {
            portDriverEn.Submit(request);
            return;
        }
        Interlocked.Increment(ref _diverted);
        request.Trace?.Decide(ShuntDecision.ReverseDiverted, "reverse shunt");
        target.Submit(request);
    }
}
