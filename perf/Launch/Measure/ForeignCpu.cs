using System.Diagnostics;
using System.Globalization;

namespace VmShunt.Perf.Measure;

/// <summary>
/// The CPU time that other processes used during a measurement: the busy time of all processors (<c>/proc/stat</c>: user,
/// nice, system, and steal by the hypervisor below) minus that of this process and its descendants. Create the object
/// before the measurement and call <see cref="Share"/> after it.
/// </summary>
internal sealed class ForeignCpu
{
    /// <summary>A measurement above this share of one core counts as disturbed.</summary>
    internal const double Limit = 0.10;

    // The kernel counts busy time in ticks of 10 ms per core, so a few ticks are noise.
    private const double CountingError = 0.03;
    private const double SecondsPerTick = 0.01;

    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly double _busy = BusySeconds(File.ReadAllText("/proc/stat"));
    private readonly long _ours = OwnCpu.Nanoseconds();

    /// <summary>The share of one core that other processes used since this object was created.</summary>
    internal double Share()
    {
        double busy = BusySeconds(File.ReadAllText("/proc/stat")) - _busy, ours = (OwnCpu.Nanoseconds() - _ours) / 1e9;
        return Of(busy, ours, Stopwatch.GetElapsedTime(_start).TotalSeconds);
    }

    /// <summary>The share of a series of measurements: three quarters of them are not above it, so that one burst does not count.</summary>
    internal static double Of(IEnumerable<double> shares)
    {
        double[] sorted = [.. shares.Order()];
        var at = 0.75 * (sorted.Length - 1);
        var low = (int)at;
        return sorted.Length == 0 ? 0 : sorted[low] + (low + 1 < sorted.Length ? (sorted[low + 1] - sorted[low]) * (at - low) : 0);
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
