using Spectre.Console;
using VmShunt.Perf.Report;

namespace VmShunt.Perf.Launch;

/// <summary>What a finished launch leaves: the table, and the files that were asked for.</summary>
internal static class Output
{
    internal static void Write(LaunchResult result, LaunchOptions options, Narrator narrator)
    {
        narrator.Console.WriteLine();
        PathTable.Write(narrator.Console, result.Paths);
        foreach (var line in Ratios.Describe(result.Paths)) narrator.Console.WriteLine(line);
        Save(options.JsonFile, result.ToJson() + "\n", "result", narrator);
        Save(options.ReportFile, HtmlReport.Build(result, narrator.Notes), "report", narrator);
    }

    /// <summary>Copies the exported core to where the user wants it.</summary>
    internal static void KeepDump(string core, string path, Narrator narrator) => Try("core", path, narrator, () => File.Copy(core, path, overwrite: true));

    private static void Save(string? path, string text, string what, Narrator narrator)
    {
        if (path is not null) Try(what, path, narrator, () => File.WriteAllText(path, text));
    }

    private static void Try(string what, string path, Narrator narrator, Action write)
    {
        try
        {
            write();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LaunchException($"the {what} cannot be written to {path}: {e.Message}", e);
        }
        narrator.Say($"{what}: {path}");
    }
}
