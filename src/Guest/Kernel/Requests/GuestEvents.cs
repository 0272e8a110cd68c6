using System.Diagnostics;
using System.Diagnostics.Tracing;
using System.Globalization;
using System.Text;
using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Requests;

/// <summary>
/// VM-C's events for .NET tools, such as <c>dotnet-trace collect --providers VmShunt-Guest</c>: one per completed request,
/// with its trace, and one per mode change.
/// </summary>
[EventSource(Name = "VmShunt-Guest")]
internal sealed class GuestEvents : EventSource
{
    internal static readonly GuestEvents Log = new();

    private GuestEvents()
    {
    }

    /// <summary>Writes the event of a completed request, if there is a listener.</summary>
    [NonEvent]
    internal void WriteCompletion(BlockRequest request, RequestTrace trace)
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
    /// <param name="mode">The new mode.</param>
    [Event(2, Level = EventLevel.Informational)]
    internal void ModeChanged(string mode)
    {
        if (IsEnabled()) WriteEvent(2, mode);
    }

    /// <summary>A request has completed.</summary>
    /// <param name="operation">Its type.</param>
    /// <param name="sector">Its first sector.</param>
    /// <param name="bytes">Its length.</param>
    /// <param name="stack">The stack that the application submitted it to.</param>
    /// <param name="decision">The shunt's decision and its reason.</param>
    /// <param name="shunt">The position, mode source and policy of that shunt.</param>
    /// <param name="road">The path that it took; the payload's name is part of the contract.</param>
    /// <param name="status">Its status.</param>
    /// <param name="microseconds">The time from submission to completion.</param>
    /// <param name="hops">Each hop with the microseconds since the first.</param>
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
