using System.Diagnostics;

namespace VmShunt.Perf.Compare.Sitting;

/// <summary>Programs of the machine.</summary>
internal static class InstalledPrograms
{
    internal const string StorageDaemon = "qemu-storage-daemon", Fio = "fio", Missing = "not installed";

    /// <returns>Its path, or null.</returns>
    internal static string? Find(string program) =>
        $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin".Split(':', StringSplitOptions.RemoveEmptyEntries)
            .Select(folder => Path.Combine(folder, program))
            .FirstOrDefault(File.Exists);

    /// <summary>The first line of what it says of itself, or that it is not there.</summary>
    internal static string Version(string program)
    {
        if (Find(program) is not { } path) return Missing;
        using var process = Process.Start(new ProcessStartInfo(path, ["--version"]) { RedirectStandardOutput = true })!;
        var line = process.StandardOutput.ReadLine() ?? "";
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return line;
    }

    internal static Dictionary<string, string> Versions() => new() { [StorageDaemon] = Version(StorageDaemon), [Fio] = Version(Fio) };
}
