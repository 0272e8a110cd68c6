using System.Diagnostics;
using Spectre.Console;

namespace VmShunt.Perf.Launch;

/// <summary>Prints progress, one line per step with the time since the start.</summary>
internal sealed class ProgressLog(IAnsiConsole console)
{
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly List<string> _notes = [];

    internal IAnsiConsole Console => console;

    /// <summary>Notes for the report, in order.</summary>
    internal IReadOnlyList<string> Notes => _notes;

    internal void Section(string title) => Write($"[bold]{Markup.Escape(title)}[/]");

    internal void Line(string text) => Write("  " + Markup.Escape(text));

    /// <summary>Prints a note and keeps it for the report.</summary>
    internal void Note(string text)
    {
        _notes.Add(text);
        Write($"  [yellow]{Markup.Escape(text)}[/]");
    }

    private void Write(string markup) =>
        console.MarkupLine($"[grey]{Stopwatch.GetElapsedTime(_start).TotalSeconds,6:F1} s[/]  {markup}");
}
