using Spectre.Console;
using VmShunt.Perf.Report;

namespace VmShunt.Perf.Launch;

/// <summary>What a finished launch leaves: the table, and the files that were asked for.</summary>
internal static class Output
{
    internal static void Write(LaunchResult result, LaunchOptions options, Narrator narrator)
    {
        narrator.Console.WriteLine();
        narrator.Console.Write(PathTable.Build(result));
        narrator.Console.WriteLine();
        foreach (string line in Ratios.Describe(result.Paths)) narrator.Console.WriteLine(line);
        Save(options.JsonFile, result.ToJson() + "\n", "result", narrator);
        Save(options.ReportFile, HtmlReport.Build(result, narrator.Notes), "report", narrator);
        if (options.DumpFile is not null && result.CrashDump.Road is not null) narrator.Say($"core: {options.DumpFile}");
    }

    private static void Save(string? path, string text, string what, Narrator narrator)
    {
        if (path is null) return;
        try
        {
            File.WriteAllText(path, text);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LaunchException($"the {what} cannot be written to {path}: {e.Message}", e);
        }
        narrator.Say($"{what}: {path}");
    }
}
