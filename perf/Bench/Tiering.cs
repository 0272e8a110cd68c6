using System.Diagnostics;

namespace VmShunt.Perf.Bench;

/// <summary>
/// The JIT compiles a hot method anew once nothing else has been compiled for 100 ms. A pilot that still meets the first
/// version asks for too few operations an iteration, so a suite runs its code for a moment beforehand.
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
