using Spectre.Console;

namespace VmShunt.Perf.Launch;

/// <summary>The consoles that people read, whether they are terminals or not.</summary>
internal static class ConsoleOf
{
    internal static IAnsiConsole Output() => Create(Console.Out, Console.IsOutputRedirected);

    internal static IAnsiConsole Errors() => Create(Console.Error, Console.IsErrorRedirected);

    private static IAnsiConsole Create(TextWriter target, bool redirected)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = redirected ? AnsiSupport.No : AnsiSupport.Detect,
            Out = new AnsiConsoleOutput(target),
        });
        // A pipe has no width: lines stay whole.
        if (redirected) console.Profile.Width = 1000;
        return console;
    }
}
