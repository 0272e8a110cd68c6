using System.Diagnostics;
using System.Globalization;

namespace VmShunt.Perf.Compare.Sitting;

/// <summary>
/// What others took of the machine while something was measured: the time that its processors were busy
/// (<c>/proc/stat</c>: user, nice, system and stolen by the hypervisor below) without what this process and its
/// descendants used.
/// </summary>
internal sealed class ForeignCpu
{
    /// <summary>From here on a measurement counts as disturbed, as a share of one core.</summary>
    internal const double Limit = 0.10;

    // The kernel counts busy time in ticks of 10 ms on each core: less than a few of them is not seen.
    private const double CountingError = 0.03;
    private const double SecondsPerTick = 0.01;

    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly double _busy = BusySeconds(File.ReadAllText("/proc/stat"));
    private readonly long _ours = OwnCpu.Nanoseconds();

    /// <summary>The share of one core that others took since this object was made.</summary>
    internal double Share()
    {
        double busy = BusySeconds(File.ReadAllText("/proc/stat")) - _busy, ours = (OwnCpu.Nanoseconds() - _ours) / 1e9;
        return Of(busy, ours, Stopwatch.GetElapsedTime(_start).TotalSeconds);
    }

    internal static double Of(double busySeconds, double ourSeconds, double elapsedSeconds) =>
        Math.Max(0, busySeconds - ourSeconds - CountingError) / elapsedSeconds;

    /// <summary>The busy time of all processors since boot, from the first line of <c>/proc/stat</c>.</summary>
    internal static double BusySeconds(string stat)
    {
        var fields = stat[..stat.IndexOf('\n', StringComparison.Ordinal)].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        long Ticks(int field) => long.Parse(fields[field], CultureInfo.InvariantCulture);
        const int user = 1, nice = 2, system = 3, steal = 8;
        return (Ticks(user) + Ticks(nice) + Ticks(system) + Ticks(steal)) * SecondsPerTick;
    }
}
