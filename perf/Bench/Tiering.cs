using System.Diagnostics;

namespace VmShunt.Perf.Bench;

/// <summary>
/// Waits for tiered compilation: the JIT recompiles a hot method after 100 ms without other compilations. A pilot stage with
/// unoptimised code would choose too few operations per iteration, so a suite runs its code for 200 ms first.
/// </summary>
internal static class Tiering
{
    private static readonly TimeSpan s_enough = TimeSpan.FromMilliseconds(200);

    internal static void Settle(Action benchmark)
    {
        var start = Stopwatch.GetTimestamp();
        do benchmark();
        while (Stopwatch.GetElapsedTime(start) < s_enough);
    }
}
