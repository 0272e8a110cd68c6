using System.Diagnostics;
using VmShunt.Guest.Workloads;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Guest.Kernel.Workloads;

public class LatencyHistogramTests
{
    [Fact]
    public void Percentiles_are_within_two_percent_and_never_above_the_longest()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        var nanoseconds = Enumerable.Range(0, 20_000).Select(_ => (long)Math.Exp(random.NextDouble() * 20)).Order().ToArray();
        var histogram = new LatencyHistogram();
        foreach (var value in nanoseconds) histogram.RecordTicks((long)Math.Ceiling(value * Stopwatch.Frequency / 1e9));
        foreach (var share in (double[])[0.01, 0.5, 0.9, 0.99, 0.999, 1])
        {
            var exact = nanoseconds[Math.Max(0, (int)Math.Ceiling(share * nanoseconds.Length) - 1)] / 1e3;
            var found = histogram.PercentileMicroseconds(share);
            Assert.True(found >= exact * 0.98 - 0.002 && found <= exact * 1.02 + 0.002, $"seed {seed}: {share:p1} is {exact}, found {found}");
            Assert.True(found <= histogram.MaxMicroseconds, $"seed {seed}");
        }
    }

    [Fact]
    public void The_smallest_and_largest_latencies_are_counted()
    {
        var histogram = new LatencyHistogram();
        histogram.Record(-5);
        histogram.Record(0);
        histogram.Record(long.MaxValue);
        Assert.Equal(3, histogram.Count);
        Assert.Equal(long.MaxValue / 1000.0, histogram.PercentileMicroseconds(1));
        Assert.Equal(0, histogram.PercentileMicroseconds(0.5));
    }

    [Fact]
    public void A_merged_histogram_counts_the_latencies_of_both()
    {
        LatencyHistogram one = new(), other = new();
        for (var i = 1; i <= 100; i++) (i % 2 == 0 ? one : other).Record(i * 1000);
        one.Add(other);
        Assert.Equal((100, 100_000), (one.Count, one.MaxNanoseconds));
        Assert.InRange(one.PercentileMicroseconds(0.5), 50, 51);
    }

    [Fact]
    public void Without_a_latency_every_percentile_is_0() => Assert.Equal(0, new LatencyHistogram().PercentileMicroseconds(0.5));

    [Fact]
    public void Recording_allocates_nothing()
    {
        var histogram = new LatencyHistogram();
        Assert.Equal(0, Allocation.OfHundred(() => histogram.RecordTicks(12_345)));
    }
}
