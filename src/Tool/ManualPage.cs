using VmShunt.Terminal;

namespace VmShunt.Tool;

/// <summary>The manual pages, which are in the tool's package: <c>man</c> does not search there.</summary>
internal static class ManualPage
{
    // env searches PATH, as a shell does.
    private const string Finder = "/usr/bin/env";

    /// <summary>Shows a page; <c>man</c> takes this process's place.</summary>
    /// <param name="program">The program's name.</param>
    /// <returns>Only if there is no page: an exit code, after a line on standard error.</returns>
    internal static int Show(string program)
    {
        var page = Path.Combine(AppContext.BaseDirectory, "man", $"{program}.1.gz");
        if (File.Exists(page)) return ProgramStart.ReplaceByPath(Finder, ["man", page], static reason => $"{Finder} cannot be started: {reason}");
        ErrorLine.Write($"vmshunt: there is no {page}: only the tool's package has the manual pages (dotnet tool install); --help says the same");
        return 1;
    }
}
