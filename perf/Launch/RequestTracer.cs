using VmShunt.Perf.Launch.Model;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Launch;

/// <summary>Lets the guest trace single requests (<c>trace</c>) on the trap path and on the ring path, and breaks their time down into parts.</summary>
internal sealed class RequestTracer(ThreeProcesses processes, SectorRange range)
{
    // An odd number, so that one of them is the median.
    private const int Requests = 15, Warm = 200;

    internal async Task<IReadOnlyList<HopBreakdown>> RunAsync() => [await TraceAsync(DiskPath.Trap), await TraceAsync(DiskPath.Ring)];

    /// <summary>Turns the trace points of a request into the parts of its time.</summary>
    /// <param name="path">trap or ring.</param>
    /// <param name="trace">The guest's trace.</param>
    internal static HopBreakdown PartsOf(string path, TraceAnswer trace)
    {
        // A path has only some of the trace points; the time between two of them belongs to the later one.
        var parts = new List<HopShare>();
        for (var i = 1; i < trace.Hops.Count; i++)
        {
            var (name, derived) = Describe(trace.Hops[i].Hop, path);
            var share = new HopShare(name, Math.Max(0, trace.Hops[i].Microseconds - trace.Hops[i - 1].Microseconds), derived);
            if (parts.Count > 0 && parts[^1].Name == name) parts[^1] = parts[^1] with { Microseconds = parts[^1].Microseconds + share.Microseconds };
            else parts.Add(share);
        }
        return new HopBreakdown(path, trace.Microseconds, parts);
    }

    private async Task<HopBreakdown> TraceAsync(string path)
    {
        await processes.AskAsync($"mode {DiskPath.Mode(path)}", GuestAnswersJson.Default.ModeAnswer);
        var traces = new List<TraceAnswer>();
        for (var i = 0; i < Requests; i++)
        {
            traces.Add(await processes.AskAsync(
                FormattableString.Invariant($"trace --stack {DiskPath.Stack(path)} --operation read --sector {range.First} --count {range.Fit(4096) / 512} --warm {(i == 0 ? Warm : Warm / 10)}"),
                GuestAnswersJson.Default.TraceAnswer));
        }
        return PartsOf(path, traces.OrderBy(static trace => trace.Microseconds).ElementAt(Requests / 2));
    }

    private static (string Name, string Derived) Describe(string hop, string path) => (hop, path) switch
    {
        ("Issued", DiskPath.Trap) => ("command issue", "one register write, so one VM exit"),
        ("Issued", _) => ("avail ring publish", "and a kick if VM-H is blocked"),
        ("Noticed", DiskPath.Trap) => ("VM-H, interrupt, interrupt handler", "five VM exits and one halt"),
        ("Noticed", _) => ("VM-H, completion noticed", "cache-line transfers in both directions and the disk's copy"),
        ("Completed", _) => ("application wake-up", "from the driver's completion to the waiting task"),
        _ => ("guest I/O stack", "class driver, shunt and port driver, up to the descriptor"),
    };
}
