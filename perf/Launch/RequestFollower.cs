using VmShunt.Perf.Measure;
using VmShunt.Perf.Report;

namespace VmShunt.Perf.Launch;

/// <summary>Has the guest follow single requests (<c>trace</c>) on the slowest road and on the fastest, and says where their time went.</summary>
internal sealed class RequestFollower(ThreeProcesses processes, SectorRange range)
{
    // An odd number, so that one of them is the median.
    private const int Requests = 15, Warm = 200;

    internal async Task<IReadOnlyList<HopBreakdown>> RunAsync() => [await FollowAsync(DiskPath.Trap), await FollowAsync(DiskPath.Ring)];

    /// <summary>The parts of a request's time, from the stations that it passed.</summary>
    /// <param name="road">trap or ring.</param>
    /// <param name="trace">What the guest told of it.</param>
    internal static HopBreakdown PartsOf(string road, TraceAnswer trace)
    {
        // A road has only some of the stations; what lies between two of them belongs to the one that it leads to.
        var parts = new List<HopShare>();
        for (var i = 1; i < trace.Hops.Count; i++)
        {
            var (name, derived) = Words(trace.Hops[i].Hop, road);
            var share = new HopShare(name, Math.Max(0, trace.Hops[i].Microseconds - trace.Hops[i - 1].Microseconds), derived);
            if (parts.Count > 0 && parts[^1].Name == name) parts[^1] = parts[^1] with { Microseconds = parts[^1].Microseconds + share.Microseconds };
            else parts.Add(share);
        }
        return new HopBreakdown(road, trace.Microseconds, parts);
    }

    private async Task<HopBreakdown> FollowAsync(string road)
    {
        await processes.AskAsync($"mode {DiskPath.Mode(road)}", GuestAnswersJson.Default.ModeAnswer);
        var traces = new List<TraceAnswer>();
        for (var i = 0; i < Requests; i++)
        {
            traces.Add(await processes.AskAsync(
                FormattableString.Invariant($"trace --stack {DiskPath.Stack(road)} --operation read --sector {range.First} --count {range.Fit(4096) / 512} --warm {(i == 0 ? Warm : Warm / 10)}"),
                GuestAnswersJson.Default.TraceAnswer));
        }
        return PartsOf(road, traces.OrderBy(static trace => trace.Microseconds).ElementAt(Requests / 2));
    }

    private static (string Name, string Derived) Words(string hop, string road) => (hop, road) switch
    {
        ("Issued", DiskPath.Trap) => ("the command is issued", "a register of the controller, so a VM exit"),
        ("Issued", _) => ("the ring is published", "and VM-H kicked where it sleeps"),
        ("Noticed", DiskPath.Trap) => ("VM-H works; interrupt and its handler", "until the handler has found it done: five VM exits and a hlt"),
        ("Noticed", _) => ("VM-H works; the answer is found", "two ways of cache lines and the copy"),
        ("Completed", _) => ("the application goes on", "from the driver to the task that waits"),
        _ => ("the guest's stack", "class driver, shunt, port driver, down to a descriptor"),
    };
}
