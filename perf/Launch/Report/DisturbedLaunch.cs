using System.Globalization;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Launch.Report;

/// <summary>The warning of a launch during which other processes used CPU time, the same in the terminal and in the report.</summary>
internal static class DisturbedLaunch
{
    /// <param name="foreignCpu">CPU time of other processes as a share of one core.</param>
    internal static string Sentence(double foreignCpu) => string.Create(
        CultureInfo.InvariantCulture,
        $"Disturbed: other processes used {foreignCpu * 100:0} % of a core during the measurements (limit: {ForeignCpu.Limit * 100:0} %). Ratios between paths are left out; repeat the launch on an idle machine.");
}
