using VmShunt.Perf.Measure;

namespace VmShunt.Tests.Perf;

public class ForeignCpuTests
{
    [Theory]
    [InlineData(new double[0], 0)]
    [InlineData(new[] { 0.2 }, 0.2)]
    [InlineData(new[] { 0, 0, 0, 0, 0.9 }, 0)]
    [InlineData(new[] { 0.4, 0, 0.2, 0.1, 0.3 }, 0.3)]
    public void The_share_of_a_series_is_its_upper_quartile(double[] shares, double expected) => Assert.Equal(expected, ForeignCpu.Of(shares), 6);

    [Theory]
    [InlineData(1.0, 0.4, 2.0, 0.285)]
    [InlineData(1.0, 0.99, 1.0, 0)]
    [InlineData(0.5, 0.6, 1.0, 0)]
    public void Time_that_the_kernels_ticks_cannot_resolve_does_not_count(double busy, double own, double elapsed, double expected) =>
        Assert.Equal(expected, ForeignCpu.Of(busy, own, elapsed), 6);

    [Fact]
    public void Idle_time_and_waiting_for_disks_is_not_busy_time() =>
        Assert.Equal(1.5, ForeignCpu.BusySeconds("cpu  100 20 20 9999 9999 0 0 10 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n"), 6);
}
