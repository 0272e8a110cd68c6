using System.Text.Json.Serialization;

namespace VmShunt.Perf.Compare.Model;

/// <summary>
/// One round of one contestant: requests per second, latencies in microseconds (null if requests were not timed one by
/// one), CPU microseconds per request.
/// </summary>
internal sealed record Sample(
    double Iops, double? P50, double? P99, double? P999, double GuestCpu, double HostCpu, double HypervisorCpu)
{
    /// <summary>CPU time that other processes used during the round, as a share of one core.</summary>
    public double ForeignCpu { get; init; }

    [JsonIgnore]
    internal double Nanoseconds => 1e9 / Iops;

    [JsonIgnore]
    internal double Cpu => GuestCpu + HostCpu + HypervisorCpu;
}

/// <summary>The rounds of one contestant.</summary>
/// <param name="Subject">The contestant's name.</param>
/// <param name="Inputs">The inputs of every round.</param>
/// <param name="Rounds">In the order of the rounds, so that samples of the same round can be paired.</param>
internal sealed record Measurement(string Subject, Inputs Inputs, IReadOnlyList<Sample> Rounds)
{
    internal Spread Of(Func<Sample, double> figure) => Spread.Of(Rounds.Select(figure));

    [JsonIgnore]
    internal double MegabytesPerSecond => Of(static sample => sample.Iops).Median * Inputs.BlockBytes / 1e6;
}

/// <summary>A calibration: how long a basic operation takes on this machine, in nanoseconds, measured in the same rounds as the contestants.</summary>
/// <param name="Name">The operation.</param>
/// <param name="BlockBytes">The bytes per operation; null if it has no size.</param>
/// <param name="Rounds">Nanoseconds, round by round.</param>
internal sealed record Yardstick(string Name, int? BlockBytes, IReadOnlyList<double> Rounds)
{
    [JsonIgnore]
    internal Spread Nanoseconds => Spread.Of(Rounds);
}
