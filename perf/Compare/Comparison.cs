using System.Diagnostics;
using Spectre.Console;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Output;
using VmShunt.Perf.Compare.Rows;
using VmShunt.Perf.Compare.Sitting;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare;

/// <summary>Runs the table, tells it, and leaves no process and no file behind, whatever happens.</summary>
internal sealed class Comparison(CompareOptions options, IAnsiConsole console, IAnsiConsole errors, CancellationToken cancel)
{
    private readonly Narrator _narrator = new(console);

    /// <returns>The exit code: 0 when everything was measured, whether or not every target was reached.</returns>
    internal async Task<int> RunAsync()
    {
        try
        {
            var result = options.Drawn is { } drawn ? CompareResult.Read(drawn) : await MeasureAsync();
            console.WriteLine();
            VerdictTable.Write(console, result);
            Save(options.JsonFile, result.ToJson() + "\n");
            Save(options.MarkdownFile, MarkdownTable.Build(result));
            if (options.ReportFile is not null) Save(options.ReportFile, CompareReport.Build(result));
            return 0;
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            errors.MarkupLine("[yellow]Stopped; nothing is left behind.[/]");
            return 1;
        }
        catch (Exception e) when (e is LaunchException or InputsDifferException or IOException or UnauthorizedAccessException or InvalidOperationException)
        {
            errors.MarkupLine($"[red]Failed: {Markup.Escape(e.Message)}[/]");
            return 1;
        }
    }

    private async Task<CompareResult> MeasureAsync()
    {
        var date = DateTime.UtcNow;
        var start = Stopwatch.GetTimestamp();
        var programs = InstalledPrograms.Versions();
        foreach (var (program, version) in programs) _narrator.Say(version == InstalledPrograms.Missing ? $"{program}: not installed, its rows are left out" : $"{program}: {version}");
        using var session = new CompareSession(options, _narrator, cancel);
        var rows = new List<RowResult>();
        foreach (var row in TableRows.Find(options.Rows))
        {
            _narrator.Chapter(row.Title);
            var result = await row.RunAsync(session);
            rows.Add(result);
            Tell(result);
        }
        return new CompareResult(
            date, Command(), Commit.Current(), Math.Round(Stopwatch.GetElapsedTime(start).TotalSeconds, 1), MachineDescription.Read(), programs, rows);
    }

    private void Tell(RowResult row)
    {
        if (row.Calibration.Count > 0) _narrator.Say(string.Join(", ", row.Calibration.Select(static one => $"{one.Name} {one.Nanoseconds.Median:N0} ns")));
        foreach (var measurement in row.Measurements) _narrator.Say(MeasurementLine.Of(measurement));
        foreach (var verdict in row.Verdicts)
            _narrator.Say($"{verdict.Work} against {verdict.Against}: {verdict.ValueText} [{verdict.SpreadText}]{(verdict.Target is { } target ? $", {target.Text}: {VerdictTable.Word(verdict)}" : "")}");
        foreach (var note in Disturbance.Of(row)) _narrator.Say(note);
    }

    private string Command() => string.Join(' ', new[]
    {
        "dotnet run -c Release --project perf -- compare",
        options.Quick ? "--quick" : null,
        options.Rows.Count > 0 ? $"--rows {string.Join(' ', options.Rows)}" : null,
    }.Where(static part => part is not null));

    private void Save(string? path, string text)
    {
        if (path is null) return;
        File.WriteAllText(path, text);
        _narrator.Say($"written: {path}");
    }
}
