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
                    $"[{Colour(verdict)}]{Word(verdict)}{(row.Disturbed ? $" {Disturbance.Mark}" : "")}[/]");
            }
        }
        console.Write(table);
        foreach (var note in Notes(result)) console.MarkupLine($"  [grey]{Markup.Escape(note)}[/]");
        console.WriteLine(Summary(result));
        console.MarkupLine(Disturbance.Is(result) ? $"[yellow]{Markup.Escape(Disturbance.Sentence(result))}[/]" : Disturbance.Sentence(result));
    }

    /// <summary>How many targets were reached.</summary>
    internal static string Summary(CompareResult result)
    {
        Verdict[] judged = [.. result.Rows.SelectMany(static row => row.Verdicts).Where(static verdict => verdict.Reached is not null)];
        var reached = judged.Length == 0 ? "Nothing here has a target" : $"{judged.Count(static verdict => verdict.Reached == true)} of {judged.Length} targets reached";
        return string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{reached}, in {result.Seconds:N0} s.");
    }

    /// <summary>What a reader of the ratios must know, each once.</summary>
    internal static IEnumerable<string> Notes(CompareResult result) => result.Rows
        .SelectMany(static row => row.Verdicts)
        .SelectMany(static verdict => verdict.Notes.Select(note => verdict.Target?.Unit == "×" ? $"{verdict.Against}: {note}" : note))
        .Distinct();

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
