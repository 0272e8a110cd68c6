using System.Diagnostics;

namespace VmShunt.BlockDriver.Requests;

/// <summary>
/// The way of one request: the stack it entered, what the shunt decided and why, its road, its result, and when it was at
/// which station. It goes with its request and is written by whoever has that; read it when the request is complete. A way
/// of more than <see cref="MaxHops"/> stations keeps the first ones and the last.
/// </summary>
internal sealed class RequestTrace
{
    internal const int MaxHops = 24;

    private static int s_wanted;

    [ThreadStatic]
    private static RequestTrace? t_next;

    private readonly HopTime[] _hops = new HopTime[MaxHops];
    private int _count;

    /// <summary>Whether anybody wants to know the way of a request. What every request asks; all that it costs when nobody does.</summary>
    internal static bool IsWanted => GuestEvents.Log.IsEnabled() || s_wanted != 0;

    internal ReadOnlySpan<HopTime> Hops => _hops.AsSpan(0, _count);

    /// <summary>From the first station to the last.</summary>
    internal TimeSpan Duration => _count == 0 ? TimeSpan.Zero : Stopwatch.GetElapsedTime(_hops[0].Timestamp, _hops[_count - 1].Timestamp);

    /// <summary>The stack that the application handed it to.</summary>
    internal string Stack { get; private set; } = "";

    internal ShuntDecision Decision { get; private set; }

    /// <summary>The shunt that decided, as a person would describe it; empty where none did.</summary>
    internal string Shunt { get; private set; } = "";

    internal RequestPath RequestPath { get; private set; }

    internal BlockStatus Status { get; private set; }

    /// <summary>For a list of traces of requests that are in the ring and not yet published.</summary>
    internal RequestTrace? Next { get; set; }

    /// <summary>Has the next request that the calling thread makes leave its trace here.</summary>
    internal void Follow()
    {
        Interlocked.Increment(ref s_wanted);
        t_next = this;
    }

    /// <summary>The trace that the calling thread's request, which begins now, is to leave, or null: any will do.</summary>
    internal static RequestTrace? TakeFollower()
    {
        var next = t_next;
        if (next is null) return null;
        t_next = null;
        Interlocked.Decrement(ref s_wanted);
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

    internal void Pass(Hop hop)
    {
        if (_count == MaxHops) _count--;
        _hops[_count++] = new HopTime(hop, Stopwatch.GetTimestamp());
    }

    /// <summary>What a shunt decides. It says so before it hands the request on, since then the request is no longer its own.</summary>
    internal void Decide(ShuntDecision decision, string shunt)
    {
        Decision = decision;
        Shunt = shunt;
    }

    internal void End(RequestPath road, BlockStatus status)
    {
        RequestPath = road;
        Status = status;
        Pass(Hop.Completed);
    }

    internal readonly record struct HopTime(Hop Hop, long Timestamp);
}
