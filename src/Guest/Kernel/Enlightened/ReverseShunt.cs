using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Enlightened;

/// <summary>
/// The shunt of the enlightened stack, between class driver-en and port driver-en. Inert it is what is left of the
/// emulating stack that this one was copied from: there, and without a function. With a purpose it diverts every request
/// to port driver-em, or to the port driver of another disk. Switched live; requests that are below stay where they are.
/// Any thread.
/// </summary>
internal sealed class ReverseShunt(IPortDriver portDriverEn) : IBlockDriver
{
    // One reference, read once a request.
    private IPortDriver? _target;
    private long _diverted;

    public DiskGeometry Geometry => (_target ?? portDriverEn).Geometry;

    /// <summary>Whether it diverts nothing.</summary>
    internal bool IsInert => _target is null;

    /// <summary>Requests diverted so far.</summary>
    internal long Diverted => Interlocked.Read(ref _diverted);

    /// <summary>Diverts every request to a port driver. One below every shunt: no way leads from there back to here.</summary>
    internal void Divert(IPortDriver target) => Interlocked.Exchange(ref _target, target);

    /// <summary>Diverts nothing any more.</summary>
    internal void BeInert() => Interlocked.Exchange(ref _target, null);

    public void Submit(BlockRequest request)
    {
        var target = _target;
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
