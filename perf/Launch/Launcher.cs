using Spectre.Console;
using VmShunt.Perf.Report;

namespace VmShunt.Perf.Launch;

/// <summary>Runs the story, reports it, and leaves no process and no file behind, whatever happens.</summary>
internal sealed class Launcher(
    LaunchOptions options, IAnsiConsole console, IAnsiConsole errors, Func<string, ITrapCounter> connectTrapCounter, CancellationToken cancel)
{
    private readonly Narrator _narrator = new(console);

    /// <returns>The exit code: 0 when the whole story came true.</returns>
    internal async Task<int> RunAsync()
    {
        try
        {
            using var folder = new WorkFolder();
            Output.Write(await TellAsync(folder), options, _narrator);
            return 0;
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            errors.MarkupLine("[yellow]Stopped; nothing is left behind.[/]");
            return 1;
        }
        catch (Exception e) when (e is LaunchException or IOException or UnauthorizedAccessException)
        {
            errors.MarkupLine($"[red]Failed: {Markup.Escape(e.Message)}[/]");
            return 1;
        }
    }

    private async Task<LaunchResult> TellAsync(WorkFolder folder)
    {
        await using ThreeProcesses processes = ThreeProcesses.Prepare(options, folder, connectTrapCounter, cancel);
        try
        {
            return await new Story(options, processes, _narrator, folder, cancel).TellAsync();
        }
        catch (Exception e) when (e is LaunchException or IOException)
        {
            IReadOnlyList<ChildProcess> ended = await processes.FindEndedAsync();
            // Ctrl-C on a terminal reaches the children too; their end may be the first news of it.
            cancel.ThrowIfCancellationRequested();
            ShowLastLines(ended, processes);
            throw;
        }
    }

    private void ShowLastLines(IReadOnlyList<ChildProcess> ended, ThreeProcesses processes)
    {
        foreach (ChildProcess child in ended)
            Show(child, $"{child.Name} (process {child.Id}) ended with exit code {child.ExitCode}{SignalOf(child.ExitCode)}");
        if (ended.Count == 0 && processes.Newest is { } newest) Show(newest, $"{newest.Name} (process {newest.Id}) still runs");
    }

    private void Show(ChildProcess child, string what)
    {
        errors.MarkupLine($"[red]{Markup.Escape(what)}[/]. Its last lines:");
        foreach (var line in child.LastOutput) errors.MarkupLine($"    {Markup.Escape(line)}");
    }

    private static string SignalOf(int exitCode) => exitCode > 128 ? $" (signal {exitCode - 128})" : "";
}
