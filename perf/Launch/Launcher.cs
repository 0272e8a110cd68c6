using Spectre.Console;

namespace VmShunt.Perf.Launch;

/// <summary>Runs a story on the three processes. Leaves no process and no temporary file, even after a failure.</summary>
internal sealed class Launcher(
    LaunchOptions options, IAnsiConsole console, IAnsiConsole errors, Func<string, ITrapCounter> connectTrapCounter, CancellationToken cancel)
{
    private readonly ProgressLog _log = new(console);

    /// <summary>Runs the story of <c>launch</c> and prints its result.</summary>
    /// <returns>The exit code: 0 when every step succeeded.</returns>
    internal Task<int> RunAsync() => RunAsync(
        (processes, log, folder) => new LaunchStory(options, processes, log, folder, cancel).RunAsync(),
        (result, log) => LaunchOutput.Write(result, options, log));

    /// <summary>Runs a story.</summary>
    /// <param name="story">What to do with the processes, none of which is running yet.</param>
    /// <param name="write">Writes the result, when they have been stopped.</param>
    /// <returns>The exit code: 0 when every step succeeded.</returns>
    internal async Task<int> RunAsync<T>(Func<ThreeProcesses, ProgressLog, WorkFolder, Task<T>> story, Action<T, ProgressLog> write)
    {
        try
        {
            ResultFiles.Check(options.JsonFile, options.ReportFile, options.DumpFile);
            using var folder = new WorkFolder();
            write(await RunAsync(folder, story), _log);
            return 0;
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            errors.MarkupLine("[yellow]Stopped. No process and no temporary file is left.[/]");
            return 1;
        }
        catch (Exception e) when (e is LaunchException or IOException or UnauthorizedAccessException)
        {
            errors.MarkupLine($"[red]Failed: {Markup.Escape(e.Message)}[/]");
            return 1;
        }
    }

    private async Task<T> RunAsync<T>(WorkFolder folder, Func<ThreeProcesses, ProgressLog, WorkFolder, Task<T>> story)
    {
        await using ThreeProcesses processes = ThreeProcesses.Prepare(options, folder, connectTrapCounter, cancel);
        try
        {
            return await story(processes, _log, folder);
        }
        catch (Exception e) when (e is LaunchException or IOException)
        {
            IReadOnlyList<ChildProcess> exited = await processes.FindExitedAsync();
            // Ctrl-C on a terminal reaches the child processes too; their exits may be noticed before the signal.
            cancel.ThrowIfCancellationRequested();
            ShowLastLines(exited, processes);
            // What failed may be only a consequence, such as a connection that the exited process closed.
            if (exited is [var first, ..] && !e.Message.StartsWith(first.Name, StringComparison.Ordinal))
                throw new LaunchException($"{first.Name} exited: {e.Message}", e);
            throw;
        }
    }

    private void ShowLastLines(IReadOnlyList<ChildProcess> exited, ThreeProcesses processes)
    {
        foreach (ChildProcess child in exited)
            Show(child, $"{child.Name} (process {child.Id}) exited with code {child.ExitCode}{SignalOf(child.ExitCode)}");
        if (exited.Count == 0 && processes.Newest is { } newest) Show(newest, $"{newest.Name} (process {newest.Id}) is still running");
    }

    private void Show(ChildProcess child, string what)
    {
        errors.MarkupLine($"[red]{Markup.Escape(what)}[/]. Its last lines:");
        foreach (var line in child.LastOutput) errors.MarkupLine($"    {Markup.Escape(line)}");
    }

    private static string SignalOf(int exitCode) => exitCode > 128 ? $" (signal {exitCode - 128})" : "";
}
