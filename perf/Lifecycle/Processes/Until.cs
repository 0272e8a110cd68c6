using System.Diagnostics;

namespace VmShunt.Perf.Lifecycle.Processes;

/// <summary>Waits for what another process will make true.</summary>
internal static class Until
{
    /// <summary>The limit of every wait: only a hang takes longer, on a busy machine too.</summary>
    internal static TimeSpan Patience { get; } = TimeSpan.FromSeconds(120);

    internal static Task TrueAsync(Func<bool> condition, string what) => TrueAsync(() => Task.FromResult(condition()), what);

    internal static async Task TrueAsync(Func<Task<bool>> condition, string what)
    {
        var start = Stopwatch.GetTimestamp();
        while (!await condition())
        {
            if (Stopwatch.GetElapsedTime(start) >= Patience) throw new TimeoutException($"not within {Patience.TotalSeconds} s: {what}");
            await Task.Delay(5);
        }
    }
}
