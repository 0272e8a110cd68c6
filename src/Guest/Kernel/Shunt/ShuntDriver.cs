using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Shunt.Modes;
using VmShunt.Guest.Shunt.Policies;

namespace VmShunt.Guest.Shunt;

/// <summary>
/// The shunt: a layer of the emulating stack. In emulating mode it passes requests down to the trap; in enlightened mode it
/// diverts primary ones, live and each by itself, to the enlightened side. A mode change never touches requests that are
/// already below. Compiled whole for each way to know the mode and each policy.
/// </summary>
/// <param name="below">What it passes down to: port driver-em, or class driver-em for a shunt above it.</param>
/// <param name="entry">Where diverted requests enter the enlightened side.</param>
/// <param name="mode">How it knows the mode.</param>
/// <param name="policy">Which requests are primary.</param>
/// <param name="counters">Told what it does.</param>
/// <param name="description">Which shunt it is, for traces.</param>
/// <param name="whole">Whose geometry requests are checked against: of the side that they most likely take.</param>
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
        // Read before the request is handed on: then it is no longer ours.
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
