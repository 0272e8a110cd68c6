using System.Diagnostics;
using Spectre.Console;

namespace VmShunt.Perf.Launch;

/// <summary>Says what is going on, one line a step with the time since the start; the same on a terminal and in a log.</summary>
internal sealed class Narrator(IAnsiConsole console)
{
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly List<string> _notes = [];

    internal IAnsiConsole Console => console;

    /// <summary>What a reader of the report must know, in order.</summary>
    internal IReadOnlyList<string> Notes => _notes;

    internal void Chapter(string title) => Write($"[bold]{Markup.Escape(title)}[/]");

    internal void Say(string text) => Write("  " + Markup.Escape(text));

    /// <summary>Says it and keeps it for the report.</summary>
    internal void Note(string text)
    {
        _notes.Add(text);
        Write($"  [yellow]{Markup.Escape(text)}[/]");
    }

    private void Write(string markup) =>
        console.MarkupLine($"[grey]{Stopwatch.GetElapsedTime(_start).TotalSeconds,6:F1} s[/]  {markup}");
}
