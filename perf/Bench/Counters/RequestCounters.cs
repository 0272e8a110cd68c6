namespace VmShunt.Perf.Bench.Counters;

/// <summary>A counter of a benchmark.</summary>
/// <param name="Name">The title of the column.</param>
/// <param name="PerRequest">The value per request.</param>
/// <param name="Legend">What the column means.</param>
internal readonly record struct RequestCounter(string Name, double PerRequest, string Legend);

/// <summary>
/// The counters of the running benchmark, which it reports in its cleanup. Benchmarks run one by one in this process, so
/// there is one list.
/// </summary>
internal static class RequestCounters
{
    private static readonly List<RequestCounter> s_counters = [];

    internal static void Report(string name, double perRequest, string legend) => s_counters.Add(new RequestCounter(name, perRequest, legend));

    /// <summary>Returns and clears the counters reported since the last call.</summary>
    internal static RequestCounter[] Take()
    {
        RequestCounter[] counters = [.. s_counters];
        s_counters.Clear();
        return counters;
    }
}
