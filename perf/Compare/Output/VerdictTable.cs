using Spectre.Console;
using VmShunt.Perf.Compare.Model;

namespace VmShunt.Perf.Compare.Output;

/// <summary>The table of ratios for the terminal.</summary>
internal static class VerdictTable
{
    internal static void Write(IAnsiConsole console, CompareResult result)
    {
        var table = new Table().Border(TableBorder.Simple);
        foreach (var column in new[] { "work", "against", "to reach", "measured", "quartiles", "" }) table.AddColumn(column);
        foreach (var row in result.Rows)
        {
            foreach (var verdict in row.Verdicts)
            {
                table.AddRow(
                    Markup.Escape(verdict.Work), Markup.Escape(verdict.Against), Markup.Escape(verdict.Target?.Text ?? ""), verdict.ValueText, verdict.SpreadText,
                    $"[{Colour(verdict)}]{Word(verdict)}{(row.Disturbed ? " (disturbed)" : "")}[/]");
            }
        }
        console.Write(table);
        foreach (var note in result.Rows.SelectMany(static row => row.Verdicts).SelectMany(static verdict => verdict.Notes.Select(note => $"{verdict.Against}: {note}")).Distinct())
            console.MarkupLine($"  [grey]{Markup.Escape(note)}[/]");
        var disturbed = result.Rows.Where(static row => row.Disturbed).Select(static row => $"{row.Title}: {row.DisturbanceNote.First()}").ToArray();
        foreach (var line in disturbed) console.MarkupLine($"  [yellow]{Markup.Escape(line)}[/]");
        Verdict[] judged = [.. result.Rows.SelectMany(static row => row.Verdicts).Where(static verdict => verdict.Reached is not null)];
        console.MarkupLine($"{judged.Count(static verdict => verdict.Reached == true)} of {judged.Length} targets reached, {result.Seconds:N0} s");
    }

    internal static string Word(Verdict verdict) => verdict.Reached switch
    {
        true => "reached",
        false => "not reached",
        null when verdict.Value is null => "not measured",
        null => "",
    };

    private static string Colour(Verdict verdict) => verdict.Reached switch
    {
        true => "green",
        false => "red",
        null => "grey",
    };
}
