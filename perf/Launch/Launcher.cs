using Spectre.Console;
using VmShunt.Perf.Launch.Model;

namespace VmShunt.Perf.Launch;

/// <summary>Runs a launch and prints its result. Leaves no process and no temporary file, even after a failure.</summary>
internal sealed class Launcher(
    LaunchOptions options, IAnsiConsole console, IAnsiConsole errors, Func<string, ITrapCounter> connectTrapCounter, CancellationToken cancel)
{
    private readonly ProgressLog _log = new(console);

    /// <returns>The exit code: 0 when every step succeeded.</returns>
    internal async Task<int> RunAsync()
    {
        try
        {
            using var folder = new WorkFolder();
            LaunchOutput.Write(await RunAsync(folder), options, _log);
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

    private async Task<LaunchResult> RunAsync(WorkFolder folder)
    {
        await using ThreeProcesses processes = ThreeProcesses.Prepare(options, folder, connectTrapCounter, cancel);
        try
        {
            return await new LaunchStory(options, processes, _log, folder, cancel).RunAsync();
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
