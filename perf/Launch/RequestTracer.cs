using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Launch;

/// <summary>Lets the guest trace single requests (<c>trace</c>). Of several traces the one with the median duration is used.</summary>
internal sealed class RequestTracer(ThreeProcesses processes, SectorRange range)
{
    /// <summary>Requests of each trace: an odd number, so that one of them is the median.</summary>
    internal const int Requests = 15;

    // The first trace warms up the code, the others the caches.
    private const int FirstWarm = 300, Warm = 20, BlockBytes = 4096;

    /// <summary>Switches the guest's mode to that of the path, and traces requests on it.</summary>
    /// <param name="path">One of <see cref="DiskPath.All"/>.</param>
    /// <param name="operation">read, write or flush.</param>
    /// <exception cref="LaunchException">A request failed.</exception>
    internal async Task<TraceAnswer> MedianAsync(string path, string operation)
    {
        await processes.AskAsync($"mode {DiskPath.Mode(path)}", GuestAnswersJson.Default.ModeAnswer);
        var traces = new List<TraceAnswer>();
        for (var i = 0; i < Requests; i++)
        {
            var trace = await processes.AskAsync(
                FormattableString.Invariant(
                    $"trace --stack {DiskPath.Stack(path)} --operation {operation} --sector {range.First} --count {range.Fit(BlockBytes) / 512} --warm {(i == 0 ? FirstWarm : Warm)}"),
                GuestAnswersJson.Default.TraceAnswer);
            if (trace.Status != "Ok") throw new LaunchException($"the {operation} on the {path} path was completed with {trace.Status}: {trace.Error}");
            traces.Add(trace);
        }
        return traces.OrderBy(static trace => trace.Microseconds).ElementAt(Requests / 2);
    }
}
