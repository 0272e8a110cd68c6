using System.Globalization;
using VmShunt.Perf.Launch.Model;

namespace VmShunt.Perf.Compare.Model;

/// <summary>One figure in two runs, each as a multiple of its own run's calibration.</summary>
/// <param name="What">What was measured.</param>
/// <param name="Old">The figure of the old run, in <paramref name="Unit"/>.</param>
/// <param name="New">The figure of the new run.</param>
/// <param name="Unit">× for a ratio, the calibration's name for a time.</param>
/// <param name="Better">Whether higher or lower is better; null if unknown.</param>
/// <param name="Disturbed">Whether the row was disturbed in either run.</param>
internal sealed record Change(string What, Spread Old, Spread New, string Unit, Better? Better, bool Disturbed)
{
    /// <summary>New divided by old; null if old is 0.</summary>
    internal double? Factor => Old.Median == 0 ? null : New.Median / Old.Median;

    /// <summary>Whether the quartile ranges of the two runs are disjoint.</summary>
    internal bool IsClear => New.Lower > Old.Upper || New.Upper < Old.Lower;

    internal string Word => !IsClear ? "unchanged" : Better switch
    {
        null => "changed",
        Model.Better.Lower => New.Median < Old.Median ? "better" : "worse",
        _ => New.Median > Old.Median ? "better" : "worse",
    };
}

/// <summary>The difference between two runs.</summary>
/// <param name="All">Every figure that both runs have: ratios as they are, times as multiples of the row's cache-line ping-pong.</param>
/// <param name="Refusals">Figures that cannot be compared because their inputs differ.</param>
/// <param name="OnlyOld">Rows that only the old run has.</param>
/// <param name="OnlyNew">Rows that only the new run has.</param>
internal sealed record Changes(IReadOnlyList<Change> All, IReadOnlyList<string> Refusals, IReadOnlyList<string> OnlyOld, IReadOnlyList<string> OnlyNew)
{
    internal static Changes Between(CompareResult old, CompareResult now)
    {
        var changes = new List<Change>();
        var refusals = new List<string>();
        foreach (var after in now.Rows)
        {
            if (old.Rows.FirstOrDefault(row => row.Id == after.Id) is not { } before) continue;
            var refused = CompareMeasurements(before, after, changes);
            // The contestants of a row usually differ in the same inputs: one line for all of them.
            refusals.AddRange(refused.GroupBy(static one => one.Differences)
                .Select(group => $"{after.Title}: not compared, the inputs differ: {group.Key} ({string.Join(", ", group.Select(static one => one.Subject).Distinct())})"));
            if (refused.Count == 0) CompareVerdicts(before, after, changes);
        }
        return new Changes(changes, refusals, Without(old, now), Without(now, old));
    }

    private static List<(string Subject, string Differences)> CompareMeasurements(RowResult before, RowResult after, List<Change> changes)
    {
        var refused = new List<(string, string)>();
        foreach (var measurement in after.Measurements)
        {
            var candidates = before.Measurements.Where(one => one.Subject == measurement.Subject).ToArray();
            if (candidates.Length == 0) continue;
            if (candidates.FirstOrDefault(one => one.Inputs == measurement.Inputs) is not { } same)
            {
                refused.Add((measurement.Subject, string.Join("; ", candidates[0].Inputs.DifferencesFrom(measurement.Inputs))));
                continue;
            }
            if (before.Calibration.Count == 0 || after.Calibration.Count == 0) continue;
            changes.Add(new Change(
                $"{Name(measurement)}: time per request", Ratio.Of(same, before.Calibration[0]), Ratio.Of(measurement, after.Calibration[0]),
                after.Calibration[0].Name, Better.Lower, before.Disturbed || after.Disturbed));
        }
        return refused;
    }

    private static void CompareVerdicts(RowResult before, RowResult after, List<Change> changes)
    {
        foreach (var verdict in after.Verdicts)
        {
            if (verdict.Value is not { } value || before.Verdicts.FirstOrDefault(one => one.Id == verdict.Id) is not { Value: { } earlier } then) continue;
            // The best of several peers may be another one in each run.
            var was = then.Against == verdict.Against ? "" : $" (old run: {then.Against})";
            changes.Add(new Change($"{verdict.Work}{(verdict.Unit == "×" ? $" vs {verdict.Against}{was}" : "")}", earlier, value, verdict.Unit, verdict.Direction, before.Disturbed || after.Disturbed));
        }
    }

    private static string Name(Measurement one)
    {
        var inputs = one.Inputs;
        string?[] words =
        [
            one.Subject, inputs.BlockBytes == 0 ? null : MemorySize.Format(inputs.BlockBytes), string.Create(CultureInfo.InvariantCulture, $"depth {inputs.Depth}"),
            inputs.Guests > 1 ? string.Create(CultureInfo.InvariantCulture, $"{inputs.Guests} guests") : null,
        ];
        return string.Join(", ", words.Where(static word => word is not null));
    }

    private static IReadOnlyList<string> Without(CompareResult one, CompareResult other) =>
        [.. one.Rows.Select(static row => row.Id).Where(id => other.Rows.All(row => row.Id != id))];
}
