using System.Diagnostics;
using VmShunt.Guest.Workloads;

namespace VmShunt.Tests.Guest.Kernel.Workloads;

public class WorkloadTests
{
    [Fact]
    public void A_pattern_is_recognised_and_nothing_else_is()
    {
        var block = new byte[4096];
        BlockPattern.Fill(block, 7, 3);
        Assert.True(BlockPattern.Matches(block, 7, 3));
        Assert.False(BlockPattern.Matches(block, 8, 3));
        Assert.False(BlockPattern.Matches(block, 7, 2));
        for (var i = 0; i < block.Length; i += 511)
        {
            block[i]++;
            Assert.False(BlockPattern.Matches(block, 7, 3));
            block[i]--;
        }
    }

    [Fact]
    public void Percentiles_are_within_two_percent_and_never_above_the_longest()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        var nanoseconds = Enumerable.Range(0, 20_000).Select(_ => (long)Math.Exp(random.NextDouble() * 20)).Order().ToArray();
        var histogram = new LatencyHistogram();
        foreach (var value in nanoseconds) histogram.Record((long)Math.Ceiling(value * Stopwatch.Frequency / 1e9));
        foreach (var share in (double[])[0.01, 0.5, 0.9, 0.99, 0.999, 1])
        {
            var exact = nanoseconds[Math.Max(0, (int)Math.Ceiling(share * nanoseconds.Length) - 1)] / 1e3;
            var found = histogram.Percentile(share);
            Assert.True(found >= exact * 0.98 - 0.002 && found <= exact * 1.02 + 0.002, $"seed {seed}: {share:p1} is {exact}, found {found}");
            Assert.True(found <= histogram.MaxMicroseconds, $"seed {seed}");
        }
    }
}
