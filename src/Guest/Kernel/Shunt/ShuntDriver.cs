using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;
using VmShunt.Guest.Shunt.Modes;
using VmShunt.Guest.Shunt.Policies;

namespace VmShunt.Guest.Shunt;

/// <summary>
/// The shunt: a layer of the emulating stack. In emulating mode it passes requests down to the trap path; in enlightened
/// mode it diverts each primary request to the enlightened side. A mode change does not touch requests that have passed it.
/// Compiled once for each combination of mode source and policy.
/// </summary>
/// <param name="below">Takes requests that are not diverted: the port driver (emulating), or the class driver for a shunt above it.</param>
/// <param name="entry">Where diverted requests enter the enlightened side.</param>
/// <param name="mode">How it knows the mode.</param>
/// <param name="policy">Which requests are primary.</param>
/// <param name="counters">Counts its decisions.</param>
/// <param name="description">Describes it in traces.</param>
/// <param name="whole">Has the geometry that requests are checked against.</param>
internal sealed class ShuntDriver<TMode, TPolicy>(
    IBlockDriver below, IEnlightenedEntry entry, TMode mode, TPolicy policy, ShuntCounters counters, string description, IBlockDriver whole) : IBlockDriver
    where TMode : struct, IModeSource
    where TPolicy : struct, IRequestPolicy
{
    private readonly IBlockDriver _below = below;
    private readonly IEnlightenedEntry _entry = entry;
    private readonly ShuntCounters _counters = counters;
    private TMode _mode = mode;
    private TPolicy _policy = policy;

    public DiskGeometry Geometry => whole.Geometry;

    public void Submit(BlockRequest request)
    {
        // Loaded first: a submitted request may complete at once and be reused.
        var trace = request.Trace;
        trace?.Pass(Hop.Shunt);
        if (_policy.IsPrimary(request.Operation, request.Bytes))
        {
            trace?.Decide(ShuntDecision.Diverted, description);
            if (_mode.TryDivert(request, _entry, _below))
            {
                _counters.NoteDiverted();
                return;
            }
            trace?.Decide(typeof(TMode) == typeof(TryingMode) ? ShuntDecision.NotAccepted : ShuntDecision.EmulatingMode, description);
        }
        else
        {
            trace?.Decide(ShuntDecision.Secondary, description);
        }
        _counters.NotePassed();
        _below.Submit(request);
    }
}
