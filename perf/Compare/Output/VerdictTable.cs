using System.Globalization;
using Spectre.Console;
using VmShunt.Perf.Compare.Model;

namespace VmShunt.Perf.Compare.Output;

/// <summary>The verdicts as tables for the terminal, one per direction.</summary>
internal static class VerdictTable
{
    internal static IReadOnlyList<string> Columns { get; } = ["work", "against", "target", "measured", "quartiles", "met"];

    internal static void Write(IAnsiConsole console, CompareResult result)
    {
        foreach (var group in VerdictGroup.Of(result))
        {
            console.MarkupLine($"[bold]{group.Title}[/]");
            var table = new Table().Border(TableBorder.Simple);
            foreach (var column in Columns) table.AddColumn(column);
            foreach (var (row, verdict) in group.Verdicts)
            {
                table.AddRow(
                    Markup.Escape(verdict.Work), Markup.Escape(verdict.Against), Markup.Escape(verdict.Target?.Text ?? "–"), verdict.ValueText, verdict.SpreadText,
                    $"[{Colour(verdict)}]{Word(verdict)}{(row.Disturbed ? $" {Disturbance.Mark}" : "")}[/]");
            }
            console.Write(table);
        }
        foreach (var note in Notes(result)) console.MarkupLine($"  [grey]{Markup.Escape(note)}[/]");
        console.WriteLine(Summary(result));
        console.MarkupLine(result.Disturbed ? $"[yellow]{Markup.Escape(Disturbance.Sentence(result))}[/]" : Disturbance.Sentence(result));
    }

    /// <summary>How many targets are met.</summary>
    internal static string Summary(CompareResult result)
    {
        Verdict[] judged = [.. result.Rows.SelectMany(static row => row.Verdicts).Where(static verdict => verdict.Met is not null)];
        var met = judged.Length == 0 ? "No figure has a target" : $"{judged.Count(static verdict => verdict.Met == true)} of {judged.Length} targets met";
        return string.Create(CultureInfo.InvariantCulture, $"{met}; the run took {result.Seconds:N0} s.");
    }

    /// <summary>The notes of all verdicts, each once.</summary>
    internal static IEnumerable<string> Notes(CompareResult result) => result.Rows
        .SelectMany(static row => row.Verdicts)
        .SelectMany(static verdict => verdict.Notes.Select(note => verdict.Target?.Unit == "×" ? $"{verdict.Against}: {note}" : note))
        .Distinct();

    internal static string Word(Verdict verdict) => verdict.Met switch
    {
        true => "met",
        false => "not met",
        null when verdict.Value is null => "not measured",
        null => "",
    };

    private static string Colour(Verdict verdict) => verdict.Met switch
    {
        true => "green",
        false => "red",
        null => "grey",
    };
}
