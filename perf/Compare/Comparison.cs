using System.Diagnostics;
using Spectre.Console;
using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Output;
using VmShunt.Perf.Compare.Rows;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare;

/// <summary>Measures the table and prints it. Leaves no process and no temporary file, even after a failure.</summary>
internal sealed class Comparison(CompareOptions options, IAnsiConsole console, IAnsiConsole errors, CancellationToken cancel)
{
    private readonly ProgressLog _log = new(console);

    /// <returns>The exit code: 0 when every row was measured, even if a target is not met.</returns>
    internal async Task<int> RunAsync()
    {
        try
        {
            var result = options.Rendered is { } rendered ? CompareResult.Read(rendered) : await MeasureAsync();
            console.WriteLine();
            VerdictTable.Write(console, result);
            Save(options.JsonFile, result.ToJson() + "\n");
            Save(options.MarkdownFile, MarkdownTable.Build(result));
            if (options.ReportFile is not null) Save(options.ReportFile, CompareReport.Build(result));
            return 0;
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            errors.MarkupLine("[yellow]Stopped. No process and no temporary file is left.[/]");
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
        foreach (var (program, version) in programs) _log.Line(version == InstalledPrograms.Missing ? $"{program}: not installed; its comparisons are left out" : $"{program}: {version}");
        using var session = new CompareSession(options, _log, cancel);
        var rows = new List<RowResult>();
        foreach (var row in TableRows.Find(options.Rows))
        {
            _log.Section(row.Title);
            var result = await row.RunAsync(session);
            rows.Add(result);
            Print(result);
        }
        return new CompareResult(
            date, Command(), GitCommit.Current(), Math.Round(Stopwatch.GetElapsedTime(start).TotalSeconds, 1), MachineDescription.Read(), programs, rows);
    }

    private void Print(RowResult row)
    {
        if (row.Calibration.Count > 0) _log.Line(string.Join(", ", row.Calibration.Select(static one => $"{one.Name} {one.Nanoseconds.Median:N0} ns")));
        foreach (var measurement in row.Measurements) _log.Line(MeasurementLine.Of(measurement));
        foreach (var verdict in row.Verdicts)
            _log.Line($"{verdict.Work} vs {verdict.Against}: {verdict.ValueText} [{verdict.SpreadText}]{(verdict.Target is { } target ? $", target {target.Text}: {VerdictTable.Word(verdict)}" : "")}{(verdict.Direction is { } direction ? $" ({direction.ToString().ToLowerInvariant()} is better)" : "")}");
        foreach (var note in Disturbance.Of(row)) _log.Line(note);
    }

    private string Command() => string.Join(' ', new[]
    {
        $"{options.Program} compare",
        options.Quick ? "--quick" : null,
        options.Rows.Count > 0 ? $"--rows {string.Join(' ', options.Rows)}" : null,
    }.Where(static part => part is not null));

    private void Save(string? path, string text)
    {
        if (path is null) return;
        File.WriteAllText(path, text);
        _log.Line($"wrote {path}");
    }
}
