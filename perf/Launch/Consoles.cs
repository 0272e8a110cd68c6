using Spectre.Console;

namespace VmShunt.Perf.Launch;

/// <summary>Standard output and standard error as Spectre consoles, on a terminal or redirected.</summary>
internal static class Consoles
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
        // A pipe has no width, so lines are not wrapped.
        if (redirected) console.Profile.Width = 1000;
        return console;
    }
}
