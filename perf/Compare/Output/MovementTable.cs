using System.Globalization;
using Spectre.Console;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Report;

namespace VmShunt.Perf.Compare.Output;

/// <summary><c>compare OLD NEW</c>: what moved, in ratios, and what cannot be said because the inputs differ.</summary>
internal static class MovementTable
{
    /// <param name="oldFile">A result of <c>--json</c>.</param>
    /// <param name="newFile">A later one.</param>
    /// <param name="all">Whether figures that did not move are listed too.</param>
    /// <param name="console">For the table.</param>
    /// <param name="errors">For what was refused.</param>
    /// <returns>The exit code: 0 when everything that is in both could be compared, whether or not it moved.</returns>
    internal static int Show(string oldFile, string newFile, bool all, IAnsiConsole console, IAnsiConsole errors)
    {
        try
        {
            CompareResult old = CompareResult.Read(oldFile), now = CompareResult.Read(newFile);
            var movement = Movement.Between(old, now);
            Head("old", oldFile, old, console);
            Head("new", newFile, now, console);
            if (Differences(old.Machine, now.Machine) is { Length: > 0 } differ) console.WriteLine($"The machines differ ({differ}): only ratios mean something, and those not everything.");
            if (movement.OnlyOld.Count > 0) console.WriteLine($"Only the old one has: {string.Join(", ", movement.OnlyOld)}.");
            if (movement.OnlyNew.Count > 0) console.WriteLine($"Only the new one has: {string.Join(", ", movement.OnlyNew)}.");

            var shown = movement.Moves.Where(move => all || move.IsClear).ToArray();
            if (shown.Length > 0) console.Write(Table(shown));
            foreach (var refusal in movement.Refusals) errors.MarkupLine($"[yellow]{Markup.Escape(refusal)}[/]");
            if (movement.Moves.Count == 0 && movement.Refusals.Count == 0)
            {
                errors.MarkupLine("[red]The two have nothing in common that could be compared.[/]");
                return 1;
            }
            console.WriteLine(Summary(movement, all));
            return movement.Refusals.Count == 0 ? 0 : 1;
        }
        catch (Exception e) when (e is LaunchException or InputsDifferException)
        {
            errors.MarkupLine($"[red]{Markup.Escape(e.Message)}[/]");
            return 1;
        }
    }

    private static void Head(string name, string file, CompareResult result, IAnsiConsole console)
    {
        console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name}: {file}, {result.Date:yyyy-MM-dd HH:mm} UTC{(result.Commit.Length > 0 ? $", {result.Commit}" : "")}, {result.Machine.Cpu}"));
        if (Disturbance.Is(result)) console.MarkupLine($"[yellow]{Markup.Escape(Disturbance.Sentence(result))}[/]");
    }

    private static Table Table(Move[] moves)
    {
        var table = new Table().Border(TableBorder.Simple);
        foreach (var column in new[] { "", "unit", "old", "new", "new by old", "" }) table.AddColumn(column);
        foreach (var move in moves)
        {
            table.AddRow(
                Markup.Escape(move.What), Markup.Escape(move.Unit), Verdict.Number(move.Old.Median), Verdict.Number(move.New.Median), move.Factor is { } factor ? Verdict.Number(factor) : "–",
                $"{(move.IsClear ? $"[bold]{move.Word}[/]" : move.Word)}{(move.Disturbed ? $" {Disturbance.Mark}" : "")}");
        }
        return table;
    }

    private static string Summary(Movement movement, bool all)
    {
        int better = movement.Moves.Count(static move => move.Word == "better"), worse = movement.Moves.Count(static move => move.Word == "worse");
        int moved = movement.Moves.Count(static move => move.IsClear), still = movement.Moves.Count - moved;
        var other = moved - better - worse;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{moved} of {movement.Moves.Count} figures moved: {better} better, {worse} worse{(other > 0 ? $", {other} that nothing is asked of" : "")}; the quartiles of {still} touch{(all || still == 0 ? "" : " (--all lists them)")}. {(movement.Refusals.Count > 0 ? "Some were not set side by side." : "")}").TrimEnd();
    }

    private static string Differences(MachineResult old, MachineResult now) => string.Join("; ", new (string Old, string New)[]
    {
        (old.Cpu, now.Cpu), ($"{old.Cores} processors", $"{now.Cores} processors"), ($"Linux {old.Kernel}", $"Linux {now.Kernel}"), (old.Runtime, now.Runtime),
    }.Where(static pair => pair.Old != pair.New).Select(static pair => $"{pair.Old} and {pair.New}"));
}
