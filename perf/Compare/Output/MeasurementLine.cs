using System.Globalization;
using VmShunt.Perf.Compare.Model;

namespace VmShunt.Perf.Compare.Output;

/// <summary>One measurement in one line for the terminal.</summary>
internal static class MeasurementLine
{
    internal static string Of(Measurement one)
    {
        var iops = one.Of(static sample => sample.Iops);
        var latency = one.Rounds[0].P50 is null
            ? ""
            : string.Create(CultureInfo.InvariantCulture, $", p50 {Median(one, static s => s.P50):0.##} µs, p99 {Median(one, static s => s.P99):0.##} µs");
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{one.Subject}, depth {one.Inputs.Depth}: {iops.Median:N0} requests/s [{iops.Lower:N0} … {iops.Upper:N0}]{latency}, CPU {one.Of(static s => s.Cpu).Median:0.##} µs/request");
    }

    private static double Median(Measurement one, Func<Sample, double?> figure) => one.Of(sample => figure(sample) ?? 0).Median;
}
