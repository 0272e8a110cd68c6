using Spectre.Console;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Launch;

namespace VmShunt.Perf.Compare;

/// <summary>One figure in two runs, each held against the calibration of its own run.</summary>
/// <param name="What">What was measured.</param>
/// <param name="Old">Then, as a multiple of the yardstick.</param>
/// <param name="New">Now.</param>
/// <param name="Unit">The yardstick.</param>
/// <param name="Disturbed">Whether either row was disturbed.</param>
internal sealed record Move(string What, Spread Old, Spread New, string Unit, bool Disturbed)
{
    /// <summary>New by old.</summary>
    internal double Factor => New.Median / Old.Median;

    /// <summary>Whether the quartiles of the two do not even touch.</summary>
    internal bool IsClear => New.Lower > Old.Upper || New.Upper < Old.Lower;
}

/// <summary><c>compare OLD NEW</c>: what moved, in ratios, and what cannot be said because the inputs differ.</summary>
internal static class Movement
{
    /// <returns>The exit code: 0 when everything that is in both could be compared.</returns>
    internal static int Show(string oldFile, string newFile, IAnsiConsole console, IAnsiConsole errors)
    {
        try
        {
            CompareResult old = CompareResult.Read(oldFile), now = CompareResult.Read(newFile);
            var (moves, refusals) = Between(old, now);
            console.WriteLine($"{oldFile}: {old.Date:yyyy-MM-dd HH:mm} {old.Commit}, {old.Machine.Cpu}; {newFile}: {now.Date:yyyy-MM-dd HH:mm} {now.Commit}, {now.Machine.Cpu}");
            if (old.Machine != now.Machine) console.WriteLine("The machines differ: only ratios mean something, and those not everything.");
            var table = new Table().Border(TableBorder.Simple);
            foreach (var column in new[] { "", "unit", "old", "new", "new by old", "" }) table.AddColumn(column);
            foreach (var move in moves)
            {
                table.AddRow(
                    Markup.Escape(move.What), Markup.Escape(move.Unit), Verdict.Number(move.Old.Median), Verdict.Number(move.New.Median), Verdict.Number(move.Factor),
                    (move.IsClear ? "[bold]moved[/]" : "within the spread") + (move.Disturbed ? " (disturbed)" : ""));
            }
            console.Write(table);
            foreach (var refusal in refusals) errors.MarkupLine($"[yellow]{Markup.Escape(refusal)}[/]");
            return refusals.Count == 0 ? 0 : 1;
        }
        catch (LaunchException e)
        {
            errors.MarkupLine($"[red]{Markup.Escape(e.Message)}[/]");
            return 1;
        }
    }

    /// <summary>Everything that is in both: verdicts as they are, measurements as multiples of the row's cache-line ping-pong.</summary>
    internal static (IReadOnlyList<Move> Moves, IReadOnlyList<string> Refusals) Between(CompareResult old, CompareResult now)
    {
        var moves = new List<Move>();
        var refusals = new List<string>();
        foreach (var after in now.Rows)
        {
            if (old.Rows.FirstOrDefault(row => row.Id == after.Id) is not { } before) continue;
            var disturbed = before.Disturbed || after.Disturbed;
            var refused = false;
            foreach (var measurement in after.Measurements)
            {
                var candidates = before.Measurements.Where(one => one.Subject == measurement.Subject).ToArray();
                if (candidates.Length == 0) continue;
                var same = candidates.FirstOrDefault(one => one.Inputs == measurement.Inputs);
                if (same is null)
                {
                    refusals.Add($"{after.Title}: {measurement.Subject} is not set side by side, the inputs differ: {string.Join("; ", candidates[0].Inputs.DifferencesFrom(measurement.Inputs))}");
                    refused = true;
                    continue;
                }
                if (before.Calibration.Count == 0 || after.Calibration.Count == 0) continue;
                moves.Add(new Move(
                    $"{measurement.Subject}, {measurement.Inputs.BlockBytes >> 10} KiB, depth {measurement.Inputs.Depth}: time a request",
                    Ratio.Of(same, before.Calibration[0]), Ratio.Of(measurement, after.Calibration[0]), after.Calibration[0].Name, disturbed));
            }
            if (refused) continue;
            foreach (var verdict in after.Verdicts)
            {
                if (verdict.Value is { } value && before.Verdicts.FirstOrDefault(one => one.Id == verdict.Id)?.Value is { } earlier)
                    moves.Add(new Move($"{verdict.Work} against {verdict.Against}", earlier, value, verdict.Unit, disturbed));
            }
        }
        return (moves, refusals);
    }
}
