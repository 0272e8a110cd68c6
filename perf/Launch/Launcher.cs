using Spectre.Console;
using VmShunt.Perf.Report;

namespace VmShunt.Perf.Launch;

/// <summary>Runs the story, reports it, and leaves no process and no file behind, whatever happens.</summary>
internal static class Launcher
{
    /// <returns>The exit code: 0 when the whole story came true.</returns>
    internal static async Task<int> RunAsync(
        LaunchOptions options, IAnsiConsole console, Func<string, ITrapCounter> connectTrapCounter, CancellationToken cancel)
    {
        var narrator = new Narrator(console);
        try
        {
            using var folder = new WorkFolder();
            LaunchResult result = await TellAsync(options, narrator, folder, connectTrapCounter, cancel);
            Output.Write(result, options, narrator);
            return 0;
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            console.MarkupLine("[yellow]Stopped; nothing is left behind.[/]");
            return 1;
        }
        catch (Exception e) when (e is LaunchException or IOException or UnauthorizedAccessException)
        {
            console.MarkupLine($"[red]Failed: {Markup.Escape(e.Message)}[/]");
            return 1;
        }
    }

    private static async Task<LaunchResult> TellAsync(
        LaunchOptions options, Narrator narrator, WorkFolder folder, Func<string, ITrapCounter> connectTrapCounter, CancellationToken cancel)
    {
        await using ThreeProcesses processes = ThreeProcesses.Prepare(options, folder, connectTrapCounter, cancel);
        try
        {
            return await new Story(options, processes, narrator, folder, cancel).TellAsync();
        }
        catch (Exception e) when (e is LaunchException or IOException)
        {
            IReadOnlyList<ChildProcess> ended = await processes.FindEndedAsync();
            // Ctrl-C on a terminal reaches the children too; their end may be the first news of it.
            cancel.ThrowIfCancellationRequested();
            ShowLastLines(narrator.Console, ended, processes);
            throw;
        }
    }

    private static void ShowLastLines(IAnsiConsole console, IReadOnlyList<ChildProcess> ended, ThreeProcesses processes)
    {
        foreach (ChildProcess child in ended)
            Show(console, child, $"{child.Name} (process {child.Id}) ended with exit code {child.ExitCode}{SignalOf(child.ExitCode)}");
        if (ended.Count == 0 && processes.Guest is { } guest) Show(console, guest.Process, $"{guest.Process.Name} (process {guest.Process.Id}) still runs");
    }

    private static void Show(IAnsiConsole console, ChildProcess child, string what)
    {
        console.MarkupLine($"[red]{Markup.Escape(what)}[/]. Its last lines:");
        foreach (string line in child.LastOutput) console.WriteLine($"    {line}");
    }

    private static string SignalOf(int exitCode) => exitCode > 128 ? $" (signal {exitCode - 128})" : "";
}
