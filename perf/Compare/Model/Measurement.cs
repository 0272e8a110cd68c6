using System.Text.Json.Serialization;

namespace VmShunt.Perf.Compare.Model;

/// <summary>
/// One round of one contestant. The rate is a second's; latencies in microseconds, null where requests were not timed one
/// by one; CPU time in microseconds a request.
/// </summary>
internal sealed record Sample(
    double Iops, double? P50, double? P99, double? P999, double GuestCpu, double HostCpu, double HypervisorCpu)
{
    /// <summary>CPU time that others took meanwhile, as a share of one core; filled in by who watched.</summary>
    public double ForeignCpu { get; init; }

    [JsonIgnore]
    internal double Nanoseconds => 1e9 / Iops;

    [JsonIgnore]
    internal double Cpu => GuestCpu + HostCpu + HypervisorCpu;
}

/// <summary>What one contestant did, round by round, with what it was given.</summary>
/// <param name="Subject">Who was measured.</param>
/// <param name="Inputs">What it was given.</param>
/// <param name="Rounds">In the order of the rounds, so that those of one round can be paired.</param>
internal sealed record Measurement(string Subject, Inputs Inputs, IReadOnlyList<Sample> Rounds)
{
    internal Spread Of(Func<Sample, double> figure) => Spread.Of(Rounds.Select(figure));

    [JsonIgnore]
    internal double MegabytesPerSecond => Of(static sample => sample.Iops).Median * Inputs.BlockBytes / 1e6;
}

/// <summary>What this machine can do at all at this moment, in nanoseconds, taken in the same rounds as what it is held against.</summary>
/// <param name="Name">What was timed.</param>
/// <param name="BlockBytes">The size that it was timed with; null where there is none.</param>
/// <param name="Rounds">Nanoseconds, round by round.</param>
internal sealed record Yardstick(string Name, int? BlockBytes, IReadOnlyList<double> Rounds)
{
    [JsonIgnore]
    internal Spread Nanoseconds => Spread.Of(Rounds);
}
