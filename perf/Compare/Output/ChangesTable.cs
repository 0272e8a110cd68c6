using System.Globalization;
using Spectre.Console;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Launch.Model;

namespace VmShunt.Perf.Compare.Output;

/// <summary><c>compare OLD NEW</c>: which figures changed, and which cannot be compared because their inputs differ.</summary>
internal static class ChangesTable
{
    /// <param name="oldFile">A result of <c>--json</c>.</param>
    /// <param name="newFile">A later one.</param>
    /// <param name="all">Whether to list unchanged figures too.</param>
    /// <param name="console">Receives the table.</param>
    /// <param name="errors">Receives what cannot be compared.</param>
    /// <returns>The exit code: 0 when every figure that both results have could be compared.</returns>
    internal static int Show(string oldFile, string newFile, bool all, IAnsiConsole console, IAnsiConsole errors)
    {
        try
        {
            CompareResult old = CompareResult.Read(oldFile), now = CompareResult.Read(newFile);
            var changes = Changes.Between(old, now);
            Head("old", oldFile, old, console);
            Head("new", newFile, now, console);
            if (Differences(old.Machine, now.Machine) is { Length: > 0 } differ) console.WriteLine($"The machines differ ({differ}): compare ratios only, and with care.");
            if (changes.OnlyOld.Count > 0) console.WriteLine($"Only in the old result: {string.Join(", ", changes.OnlyOld)}.");
            if (changes.OnlyNew.Count > 0) console.WriteLine($"Only in the new result: {string.Join(", ", changes.OnlyNew)}.");

            var shown = changes.All.Where(change => all || change.IsClear).ToArray();
            if (shown.Length > 0) console.Write(Table(shown));
            foreach (var refusal in changes.Refusals) errors.MarkupLine($"[yellow]{Markup.Escape(refusal)}[/]");
            if (changes.All.Count == 0 && changes.Refusals.Count == 0)
            {
                errors.MarkupLine("[red]The two results have nothing in common that could be compared.[/]");
                return 1;
            }
            console.WriteLine(Summary(changes, all));
            return changes.Refusals.Count == 0 ? 0 : 1;
        }
        catch (Exception e) when (e is LaunchException or InputsDifferException)
        {
            errors.MarkupLine($"[red]{Markup.Escape(e.Message)}[/]");
            return 1;
        }
    }

    private static void Head(string name, string file, CompareResult result, IAnsiConsole console)
    {
        console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name}: {file}, {result.Date:yyyy-MM-dd HH:mm} UTC{(result.Commit.Length > 0 ? $", commit {result.Commit}" : "")}, {result.Machine.Cpu}"));
        if (result.Disturbed) console.MarkupLine($"[yellow]{Markup.Escape(Disturbance.Sentence(result))}[/]");
    }

    private static Table Table(Change[] changes)
    {
        var table = new Table().Border(TableBorder.Simple);
        foreach (var column in new[] { "work", "unit", "better if", "old", "new", "new / old", "result" }) table.AddColumn(column);
        foreach (var change in changes)
        {
            table.AddRow(
                Markup.Escape(change.What), Markup.Escape(change.Unit), change.Better switch { Better.Higher => "higher", Better.Lower => "lower", _ => "–" },
                Verdict.Number(change.Old.Median), Verdict.Number(change.New.Median), change.Factor is { } factor ? Verdict.Number(factor) : "–",
                $"{(change.IsClear ? $"[bold]{change.Word}[/]" : change.Word)}{(change.Disturbed ? $" {Disturbance.Mark}" : "")}");
        }
        return table;
    }

    private static string Summary(Changes changes, bool all)
    {
        int better = changes.All.Count(static change => change.Word == "better"), worse = changes.All.Count(static change => change.Word == "worse");
        int changed = changes.All.Count(static change => change.IsClear), unchanged = changes.All.Count - changed;
        var other = changed - better - worse;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{changed} of {changes.All.Count} figures changed: {better} better, {worse} worse{(other > 0 ? $", {other} without a known direction" : "")}; the quartiles of {unchanged} overlap{(all || unchanged == 0 ? "" : " (--all lists them)")}. {(changes.Refusals.Count > 0 ? "Some were not compared." : "")}").TrimEnd();
    }

    private static string Differences(MachineResult old, MachineResult now) => string.Join("; ", new (string Old, string New)[]
    {
        (old.Cpu, now.Cpu), ($"{old.Cores} processors", $"{now.Cores} processors"), ($"Linux {old.Kernel}", $"Linux {now.Kernel}"), (old.Runtime, now.Runtime),
    }.Where(static pair => pair.Old != pair.New).Select(static pair => $"{pair.Old} and {pair.New}"));
}
