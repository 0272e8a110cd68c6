using VmShunt.Perf.Launch.Model;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Launch;

/// <summary>Breaks the time of a traced request down into parts.</summary>
internal static class TraceParts
{
    /// <summary>Turns the trace points of a request into the parts of its time.</summary>
    /// <param name="path">trap or ring.</param>
    /// <param name="trace">The guest's trace.</param>
    internal static HopBreakdown Of(string path, TraceAnswer trace)
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
