using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Sitting;

namespace VmShunt.Perf.Compare.Rows;

/// <summary>One row of the table: it starts what it needs, measures in turns, and judges.</summary>
internal abstract class Row(string id, string title)
{
    /// <summary>Stable over runs.</summary>
    internal string Id => id;

    internal string Title => title;

    internal abstract Task<RowResult> RunAsync(CompareSession session);

    /// <summary>The row's result from its rounds.</summary>
    private protected RowResult Result(RoundsResult rounds, params IReadOnlyList<Verdict> verdicts) =>
        new(Id, Title, rounds.Calibration, rounds.Measurements, verdicts) { ForeignCpu = Disturbance(rounds.Measurements) };

    /// <summary>What three quarters of the turns saw no more of: one that was disturbed does not shift a median.</summary>
    internal static double Disturbance(IEnumerable<Measurement> measurements) =>
        Spread.Of(measurements.SelectMany(static one => one.Rounds).Select(static sample => sample.ForeignCpu)).Upper;

    /// <summary>The one with the highest rate.</summary>
    private protected static Measurement Best(IEnumerable<Measurement> measurements) =>
        measurements.MaxBy(static one => one.Of(Iops).Median)!;

    private protected static double Iops(Sample sample) => sample.Iops;

    private protected static double Time(Sample sample) => sample.Nanoseconds;

    /// <summary>A ratio of two measurements that is told and not judged.</summary>
    private protected Verdict Tell(string id, string work, Measurement ours, Measurement theirs, Func<Sample, double> figure, params IReadOnlyList<Allowance> allowed) =>
        new($"{Id}.{id}", work, theirs.Subject, null, Ratio.Of(ours, theirs, figure, allowed), [.. allowed.Select(static one => one.Because)]);

    /// <summary>A verdict about a ratio of two measurements, or that the other one is not there.</summary>
    private protected Verdict Judge(
        string id, string work, Target target, Measurement ours, Measurement? theirs, Func<Sample, double> figure, string missing,
        params IReadOnlyList<Allowance> allowed) => theirs is null
        ? new Verdict($"{Id}.{id}", work, missing, target, null, [$"{missing}: not installed"])
        : new Verdict(
            $"{Id}.{id}", work, theirs.Subject, target, Ratio.Of(ours, theirs, figure, allowed),
            [.. allowed.Where(one => ours.Inputs.DifferencesFrom(theirs.Inputs).Any(difference => difference.StartsWith(one.Input + ":", StringComparison.Ordinal))).Select(static one => one.Because)]);
}
