using System.Diagnostics;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Memory;

namespace VmShunt.Guest.Requests;

/// <summary>
/// The trace of one request: the stack it entered, the shunt's decision, its path and status, and the time of each hop. The
/// thread that owns the request writes it; read it once the request is complete. Beyond <see cref="MaxHops"/> hops only the
/// last one is updated.
/// </summary>
internal sealed class RequestTrace : RequestObserver
{
    internal const int MaxHops = 24;

    private static int s_requested;

    [ThreadStatic]
    private static RequestTrace? t_next;

    private readonly HopTime[] _hops = new HopTime[MaxHops];
    private int _count;

    /// <summary>Whether requests are traced. Without a listener, tracing costs this check per request and no allocation.</summary>
    internal static bool IsEnabled => GuestEvents.Log.IsEnabled() || Ordered.Load(ref s_requested) != 0;

    internal ReadOnlySpan<HopTime> Hops => _hops.AsSpan(0, _count);

    /// <summary>From the first hop to the last.</summary>
    internal TimeSpan Duration => _count == 0 ? TimeSpan.Zero : Stopwatch.GetElapsedTime(_hops[0].Timestamp, _hops[_count - 1].Timestamp);

    /// <summary>The stack that the application submitted it to.</summary>
    internal string Stack { get; private set; } = "";

    internal ShuntDecision Decision { get; private set; }

    /// <summary>A description of the shunt that decided; empty if none did.</summary>
    internal string Shunt { get; private set; } = "";

    internal RequestPath RequestPath { get; private set; }

    internal BlockStatus Status { get; private set; }

    /// <summary>Makes the calling thread's next request write its trace here.</summary>
    internal void TraceNextRequest()
    {
        Interlocked.Increment(ref s_requested);
        t_next = this;
    }

    /// <summary>The trace that the calling thread asked for with <see cref="TraceNextRequest"/>, once, or null.</summary>
    internal static RequestTrace? TakeRequested()
    {
        var next = t_next;
        if (next is null) return null;
        t_next = null;
        Interlocked.Decrement(ref s_requested);
        return next;
    }

    internal void Begin(string stack)
    {
        _count = 0;
        Stack = stack;
        Decision = ShuntDecision.None;
        Shunt = "";
        Pass(Hop.Entered);
    }

    /// <summary>A hop in a driver of the package.</summary>
    public override void Pass(DriverHop hop) => Pass(hop switch
    {
        DriverHop.Received => Hop.PortDriverEn,
        DriverHop.Described => Hop.Described,
        DriverHop.Issued => Hop.Issued,
        DriverHop.Noticed => Hop.Noticed,
        _ => Hop.GivenBack,
    });

    internal void Pass(Hop hop)
    {
        if (_count == MaxHops) _count--;
        _hops[_count++] = new HopTime(hop, Stopwatch.GetTimestamp());
    }

    /// <summary>Records a shunt's decision. Called before the shunt submits the request, which it does not own afterwards.</summary>
    internal void Decide(ShuntDecision decision, string shunt)
    {
        Decision = decision;
        Shunt = shunt;
    }

    internal void Complete(RequestPath path, BlockStatus status)
    {
        RequestPath = path;
        Status = status;
        Pass(Hop.Completed);
    }

    internal readonly record struct HopTime(Hop Hop, long Timestamp);
}
