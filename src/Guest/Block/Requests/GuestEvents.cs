using System.Diagnostics;
using System.Diagnostics.Tracing;
using System.Globalization;
using System.Text;

namespace VmShunt.BlockDriver.Requests;

/// <summary>
/// What VM-C tells the tools of .NET, such as <c>dotnet-trace collect --providers VmShunt-Guest</c>: the way of each
/// request, and changes of mode.
/// </summary>
[EventSource(Name = "VmShunt-Guest")]
internal sealed class GuestEvents : EventSource
{
    internal static readonly GuestEvents Log = new();

    private GuestEvents()
    {
    }

    /// <summary>Tells of a request that has ended.</summary>
    [NonEvent]
    internal void Tell(BlockRequest request, RequestTrace trace)
    {
        if (!IsEnabled()) return;
        RequestCompleted(
            request.Operation.ToString(),
            request.Sector,
            request.Bytes,
            trace.Stack,
            trace.Decision.ToString(),
            trace.Shunt,
            trace.RequestPath.ToString(),
            trace.Status.ToString(),
            trace.Duration.TotalMicroseconds,
            Describe(trace));
    }

    /// <summary>The mode has changed.</summary>
    /// <param name="mode">The new one.</param>
    [Event(2, Level = EventLevel.Informational)]
    internal void ModeChanged(string mode)
    {
        if (IsEnabled()) WriteEvent(2, mode);
    }

    /// <summary>The way of one request.</summary>
    /// <param name="operation">What it asked for.</param>
    /// <param name="sector">Its first sector.</param>
    /// <param name="bytes">Its length.</param>
    /// <param name="stack">The stack that the application handed it to.</param>
    /// <param name="decision">What the shunt made of it, and on which ground.</param>
    /// <param name="shunt">Which shunt that was: its position, mode source and policy.</param>
    /// <param name="road">The road on which it was done.</param>
    /// <param name="status">How it ended.</param>
    /// <param name="microseconds">From the application's call to its end.</param>
    /// <param name="hops">Each station with the microseconds since the first.</param>
    [Event(1, Level = EventLevel.Informational)]
    private void RequestCompleted(
        string operation, ulong sector, int bytes, string stack, string decision, string shunt, string road, string status, double microseconds, string hops) =>
        WriteEvent(1, operation, sector, bytes, stack, decision, shunt, road, status, microseconds, hops);

    private static string Describe(RequestTrace trace)
    {
        var text = new StringBuilder();
        var hops = trace.Hops;
        foreach (var (hop, timestamp) in hops)
        {
            if (text.Length > 0) text.Append(' ');
            text.Append(CultureInfo.InvariantCulture, $"{hop}@{Stopwatch.GetElapsedTime(hops[0].Timestamp, timestamp).TotalMicroseconds:F1}");
        }
        return text.ToString();
    }
}
