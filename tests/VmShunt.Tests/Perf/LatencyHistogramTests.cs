using VmShunt.Perf.Measure;

namespace VmShunt.Tests.Perf;

public class LatencyHistogramTests
{
    [Fact]
    public void Percentiles_of_random_latencies_are_at_most_4_percent_above_the_true_ones()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        for (var round = 0; round < 50; round++)
        {
            var histogram = new LatencyHistogram();
            var values = new long[random.Next(1, 5000)];
            for (var i = 0; i < values.Length; i++) histogram.Record(values[i] = (long)Math.Pow(10, random.NextDouble() * 11));
            Array.Sort(values);
            foreach (var share in new[] { 0.001, 0.5, 0.99, 0.999, 1 })
            {
                var exact = values[Math.Max(0, (int)Math.Ceiling(share * values.Length) - 1)] / 1000.0;
                Assert.True(histogram.PercentileMicroseconds(share) is var p && p >= exact && p <= exact * 1.04, $"seed {seed}, {share}: {p} for {exact}");
            }
            Assert.Equal(values[^1], histogram.MaxNanoseconds);
        }
    }

    [Fact]
    public void Negative_and_largest_latencies_are_counted()
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
    public void Merged_histograms_count_as_one()
    {
        var one = new LatencyHistogram();
        var other = new LatencyHistogram();
        for (var i = 1; i <= 100; i++) (i % 2 == 0 ? one : other).Record(i * 1000);
        one.Add(other);
        Assert.Equal(100, one.Count);
        Assert.InRange(one.PercentileMicroseconds(0.5), 50, 52);
        Assert.Equal(100, one.PercentileMicroseconds(1));
    }

    [Fact]
    public void A_percentile_of_an_empty_histogram_is_0() => Assert.Equal(0, new LatencyHistogram().PercentileMicroseconds(0.5));
}
