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
    private static readonly TimeSpan s_signalDelay = TimeSpan.FromMilliseconds(500);

    private readonly ProgressLog _log = new(console);

    /// <returns>The exit code: 0 when every row was measured, even if a target is not met.</returns>
    internal async Task<int> RunAsync()
    {
        var lost = new List<string>();
        try
        {
            ResultFiles.Check(options.JsonFile, options.MarkdownFile, options.ReportFile);
            var result = options.Rendered is { } rendered ? CompareResult.Read(rendered) : await MeasureAsync(lost);
            console.WriteLine();
            VerdictTable.Write(console, result);
            Save(options.JsonFile, result.ToJson() + "\n");
            Save(options.MarkdownFile, MarkdownTable.Build(result));
            if (options.ReportFile is not null) Save(options.ReportFile, CompareReport.Build(result));
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            errors.MarkupLine("[yellow]Stopped. No process and no temporary file is left.[/]");
            return 1;
        }
        catch (Exception e) when (IsFailure(e))
        {
            errors.MarkupLine($"[red]Failed: {Markup.Escape(e.Message)}[/]");
            return 1;
        }
        foreach (var row in lost) errors.MarkupLine($"[red]Not measured: {Markup.Escape(row)}[/]");
        return lost.Count > 0 ? 1 : 0;
    }

    private static bool IsFailure(Exception e) => e is LaunchException or InputsDifferException or IOException or UnauthorizedAccessException or InvalidOperationException;

    private async Task<CompareResult> MeasureAsync(List<string> lost)
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
            if (await TryMeasureAsync(row, session, lost) is not { } result) continue;
            rows.Add(result);
            Print(result);
            // What comes later may fail, or be stopped.
            if (options.JsonFile is { } file) await File.WriteAllTextAsync(file, Result().ToJson() + "\n", cancel);
        }
        return Result();

        CompareResult Result() => new(
            date, Command(), GitCommit.Current(), Math.Round(Stopwatch.GetElapsedTime(start).TotalSeconds, 1), MachineDescription.Read(), programs, [.. rows]);
    }

    /// <returns>Null when the row could not be measured; the others are.</returns>
    private async Task<RowResult?> TryMeasureAsync(Row row, CompareSession session, List<string> lost)
    {
        try
        {
            return await row.RunAsync(session);
        }
        catch (Exception e) when (IsFailure(e))
        {
            // A signal to the process group ends the child processes first.
            await Task.Delay(s_signalDelay, CancellationToken.None);
            cancel.ThrowIfCancellationRequested();
            lost.Add($"{row.Id}: {e.Message}");
            errors.MarkupLine($"[red]{Markup.Escape(row.Id)} failed: {Markup.Escape(e.Message)}[/]");
            return null;
        }
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
