using Spectre.Console;
using VmShunt.Perf.Launch.Model;
using VmShunt.Perf.Launch.Report;

namespace VmShunt.Perf.Launch;

/// <summary>Prints the table of a finished launch and writes the files that the user asked for.</summary>
internal static class LaunchOutput
{
    internal static void Write(LaunchResult result, LaunchOptions options, ProgressLog log)
    {
        log.Console.WriteLine();
        PathTable.Write(log.Console, result.Paths);
        foreach (var line in result.Disturbed ? [DisturbedLaunch.Sentence(result.ForeignCpu)] : Ratios.Describe(result.Paths)) log.Console.WriteLine(line);
        Save(options.JsonFile, result.ToJson() + "\n", "result", log);
        Save(options.ReportFile, HtmlReport.Build(result, log.Notes), "report", log);
    }

    /// <summary>Writes a file if the user asked for it.</summary>
    internal static void Save(string? path, string text, string what, ProgressLog log)
    {
        if (path is not null) Try(what, path, log, () => File.WriteAllText(path, text));
    }

    /// <summary>Copies the exported core to the path given with --dump.</summary>
    internal static void KeepDump(string core, string path, ProgressLog log) => Try("core", path, log, () => File.Copy(core, path, overwrite: true));

    private static void Try(string what, string path, ProgressLog log, Action write)
    {
        try
        {
            write();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LaunchException($"the {what} cannot be written to {path}: {e.Message}", e);
        }
        log.Line($"{what}: {path}");
    }
}
