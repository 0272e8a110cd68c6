using VmShunt.Guest.Block;
using VmShunt.Guest.Tracing;

namespace VmShunt.Guest.Shunt;

/// <summary>
/// The shunt: a permanent layer of the emulating stack between class driver-em and port driver-em. In emulating mode it
/// passes requests down to the trap; in enlightened mode it diverts them, live and each by itself, to the ring. The mode
/// is told to it by the kernel. A mode change never touches requests that are already below.
/// </summary>
internal sealed class ShuntDriver(IBlockDriver portDriverEm) : IBlockDriver
{
    private sealed record Diversion(Action<BlockRequest> Submit, PrimaryRequests Primary);

    // One reference, read once a request: a request sees one mode, whole.
    private Diversion? _diversion;
    private long _diverted, _passed;

    public DiskGeometry Geometry => portDriverEm.Geometry;

    /// <summary>Whether requests are diverted now.</summary>
    internal bool IsDiverting => _diversion is not null;

    /// <summary>Requests diverted so far.</summary>
    internal long Diverted => Interlocked.Read(ref _diverted);

    /// <summary>Requests passed down so far.</summary>
    internal long Passed => Interlocked.Read(ref _passed);

    /// <summary>Enlightened mode: diverts requests of the named kinds to a port driver-en, or straight to VM-H.</summary>
    internal void Divert(Action<BlockRequest> submit, PrimaryRequests primary) => _diversion = new Diversion(submit, primary);

    /// <summary>Emulating mode: everything passes down.</summary>
    internal void PassDown() => _diversion = null;

    public void Submit(BlockRequest request)
    {
        var diversion = _diversion;
        request.Trace?.Pass(Hop.Shunt);
        if (diversion is null || ((int)diversion.Primary >> (int)request.Operation & 1) == 0)
        {
            Interlocked.Increment(ref _passed);
            request.Trace?.Decide(diversion is null ? ShuntDecision.EmulatingMode : ShuntDecision.Secondary, "below-class");
            portDriverEm.Submit(request);
            return;
        }
        Interlocked.Increment(ref _diverted);
        request.Trace?.Decide(ShuntDecision.Diverted, "below-class");
        // Should the ring go away with the request on it, it goes down the trap after all.
        request.Fallback = portDriverEm;
        diversion.Submit(request);
    }
}
