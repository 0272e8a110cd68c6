namespace VmShunt.Perf.Bench.Counters;

/// <summary>One thing counted while a benchmark ran.</summary>
/// <param name="Name">The column.</param>
/// <param name="PerRequest">How often, or how much, per request.</param>
/// <param name="Legend">What the column means.</param>
internal readonly record struct RequestCounter(string Name, double PerRequest, string Legend);

/// <summary>
/// What the benchmark that is running has counted beside its time; a benchmark reports it when it cleans up. Benchmarks
/// run one after another in this process, so there is one list.
/// </summary>
internal static class RequestCounters
{
    private static readonly List<RequestCounter> s_counters = [];

    internal static void Report(string name, double perRequest, string legend) => s_counters.Add(new RequestCounter(name, perRequest, legend));

    /// <summary>Takes what was reported since the last time.</summary>
    internal static RequestCounter[] Take()
    {
        RequestCounter[] counters = [.. s_counters];
        s_counters.Clear();
        return counters;
    }
}
