using System.Globalization;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Launch;

namespace VmShunt.Perf.Compare;

/// <summary>One figure in two runs, each held against the calibration of its own run.</summary>
/// <param name="What">What was measured.</param>
/// <param name="Old">Then, as a multiple of the yardstick.</param>
/// <param name="New">Now.</param>
/// <param name="Unit">The yardstick.</param>
/// <param name="Better">Which side is good; null where nothing says so.</param>
/// <param name="Disturbed">Whether either row was disturbed.</param>
internal sealed record Move(string What, Spread Old, Spread New, string Unit, Bound? Better, bool Disturbed)
{
    /// <summary>New by old; null where the old one is zero.</summary>
    internal double? Factor => Old.Median == 0 ? null : New.Median / Old.Median;

    /// <summary>Whether the quartiles of the two do not even touch.</summary>
    internal bool IsClear => New.Lower > Old.Upper || New.Upper < Old.Lower;

    /// <summary>What to call it.</summary>
    internal string Word => !IsClear ? "within the spread" : Better switch
    {
        null => "moved",
        Bound.AtMost => New.Median < Old.Median ? "better" : "worse",
        _ => New.Median > Old.Median ? "better" : "worse",
    };
}

/// <summary>What two runs can say of each other.</summary>
/// <param name="Moves">Everything that is in both: verdicts as they are, measurements as multiples of the row's cache-line ping-pong.</param>
/// <param name="Refusals">What cannot be said because the inputs differ.</param>
/// <param name="OnlyOld">Rows that only the old one has.</param>
/// <param name="OnlyNew">Rows that only the new one has.</param>
internal sealed record Movement(IReadOnlyList<Move> Moves, IReadOnlyList<string> Refusals, IReadOnlyList<string> OnlyOld, IReadOnlyList<string> OnlyNew)
{
    internal static Movement Between(CompareResult old, CompareResult now)
    {
        var moves = new List<Move>();
        var refusals = new List<string>();
        foreach (var after in now.Rows)
        {
            if (old.Rows.FirstOrDefault(row => row.Id == after.Id) is not { } before) continue;
            var refused = Measured(before, after, moves);
            // Contestants of a row mostly differ in the same: said once.
            refusals.AddRange(refused.GroupBy(static one => one.Differences)
                .Select(group => $"{after.Title}: not set side by side, the inputs differ: {group.Key} ({string.Join(", ", group.Select(static one => one.Subject).Distinct())})"));
            if (refused.Count == 0) Judged(before, after, moves);
        }
        return new Movement(moves, refusals, Without(old, now), Without(now, old));
    }

    private static List<(string Subject, string Differences)> Measured(RowResult before, RowResult after, List<Move> moves)
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
            moves.Add(new Move(
                $"{Name(measurement)}: time a request", Ratio.Of(same, before.Calibration[0]), Ratio.Of(measurement, after.Calibration[0]),
                after.Calibration[0].Name, Bound.AtMost, before.Disturbed || after.Disturbed));
        }
        return refused;
    }

    private static void Judged(RowResult before, RowResult after, List<Move> moves)
    {
        foreach (var verdict in after.Verdicts)
        {
            if (verdict.Value is not { } value || before.Verdicts.FirstOrDefault(one => one.Id == verdict.Id) is not { Value: { } earlier } then) continue;
            // The best of several peers is not always the same one.
            var was = then.Against == verdict.Against ? "" : $" (then {then.Against})";
            moves.Add(new Move($"{verdict.Work}{(verdict.Unit == "×" ? $" against {verdict.Against}{was}" : "")}", earlier, value, verdict.Unit, verdict.Target?.Bound, before.Disturbed || after.Disturbed));
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
