using System.Diagnostics;

namespace VmShunt.Perf.Compare.Session;

/// <summary>Peer programs that are installed on the machine.</summary>
internal static class InstalledPrograms
{
    internal const string StorageDaemon = "qemu-storage-daemon", Fio = "fio", Missing = "not installed";

    /// <returns>The path of the program, or null.</returns>
    internal static string? Find(string program) =>
        $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin".Split(':', StringSplitOptions.RemoveEmptyEntries)
            .Select(folder => Path.Combine(folder, program))
            .FirstOrDefault(File.Exists);

    /// <summary>The first line of its --version, or "not installed".</summary>
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
