using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>One row of the table: starts the processes it needs, measures its contestants and computes its verdicts.</summary>
internal abstract class Row(string id, string title)
{
    /// <summary>The same in every run.</summary>
    internal string Id => id;

    internal string Title => title;

    internal abstract Task<RowResult> RunAsync(CompareSession session);

    private protected RowResult Result(RoundsResult rounds, params IReadOnlyList<Verdict> verdicts) =>
        new(Id, Title, rounds.Calibration, rounds.Measurements, verdicts)
        {
            ForeignCpu = ForeignCpu.Of(rounds.Measurements.SelectMany(static one => one.Rounds).Select(static sample => sample.ForeignCpu)),
        };

    /// <summary>The measurement with the highest rate.</summary>
    private protected static Measurement Best(IEnumerable<Measurement> measurements) =>
        measurements.MaxBy(static one => one.Of(Iops).Median)!;

    private protected static double Iops(Sample sample) => sample.Iops;

    private protected static double Time(Sample sample) => sample.Nanoseconds;

    /// <summary>A ratio without a target.</summary>
    private protected Verdict WithoutTarget(
        string id, string work, Better better, Measurement ours, Measurement theirs, Func<Sample, double> figure, params IReadOnlyList<Allowance> allowed) =>
        new($"{Id}.{id}", work, theirs.Subject, null, Ratio.Of(ours, theirs, figure, allowed), [.. allowed.Select(static one => one.Because)]) { Better = better };

    /// <summary>A ratio with a target; without a value if the peer is not installed.</summary>
    private protected Verdict WithTarget(
        string id, string work, Target target, Measurement ours, Measurement? theirs, Func<Sample, double> figure, string missing,
        params IReadOnlyList<Allowance> allowed) => theirs is null
        ? new Verdict($"{Id}.{id}", work, missing, target, null, [$"{missing}: not installed"])
        : new Verdict(
            $"{Id}.{id}", work, theirs.Subject, target, Ratio.Of(ours, theirs, figure, allowed),
            [.. allowed.Where(one => ours.Inputs.DifferencesFrom(theirs.Inputs).Any(difference => difference.StartsWith(one.Input + ":", StringComparison.Ordinal))).Select(static one => one.Because)]);
}
