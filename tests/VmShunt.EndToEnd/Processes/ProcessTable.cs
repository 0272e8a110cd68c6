using System.Globalization;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Processes;

/// <summary>What the kernel says about processes (proc(5)).</summary>
internal static class ProcessTable
{
    internal const int SIGKILL = 9, SIGUSR1 = 10, SIGUSR2 = 12, SIGCONT = 18, SIGSTOP = 19;

    /// <summary>Sends a signal to one process.</summary>
    internal static void Send(int processId, int signal) => Assert.Equal(0, Signal.Send(processId, signal));

    /// <summary>The running child of this parent that runs this program.</summary>
    /// <returns>Its id, or null.</returns>
    internal static int? FindChild(int parent, string program) =>
        All().Where(id => State(id) is { } state && state.Parent == parent && state.Kind != 'Z' && CommandLine(id).Split('\0')[0].EndsWith("/" + program, StringComparison.Ordinal))
            .Select(id => (int?)id).FirstOrDefault();

    /// <summary>The processes whose command line has a text in it.</summary>
    internal static IReadOnlyList<string> WithCommandLine(string text) =>
        [.. All().Select(CommandLine).Where(line => line.Contains(text, StringComparison.Ordinal)).Select(line => line.Replace('\0', ' '))];

    /// <summary>Whether every thread of a process is stopped.</summary>
    internal static bool IsStopped(int processId) =>
        Directory.EnumerateDirectories($"/proc/{processId}/task").All(thread => State(Path.GetRelativePath("/proc", thread))?.Kind == 'T');

    /// <summary>Whether every thread of a process is asleep at this moment.</summary>
    internal static bool IsAsleep(int processId) =>
        Directory.EnumerateDirectories($"/proc/{processId}/task").All(thread => State(Path.GetRelativePath("/proc", thread))?.Kind == 'S');

    /// <summary>How many bytes of a guest's RAM a process has mapped, each mapping counted.</summary>
    internal static long GuestMemoryMapped(int processId) => Mapped(processId, "/memfd:vmshunt-partition-");

    /// <summary>How many bytes of the memory that a crashed guest dumps a process has mapped.</summary>
    /// <param name="processId">The process.</param>
    /// <param name="writable">Counts only what it may write to.</param>
    internal static long DumpMemoryMapped(int processId, bool writable) => Mapped(processId, "/memfd:vmshunt-dump-", writable ? " rw-" : " r");

    private static long Mapped(int processId, string file, string rights = " ")
    {
        long sum = 0;
        foreach (var line in File.ReadLines($"/proc/{processId}/maps"))
        {
            if (!line.Contains(file, StringComparison.Ordinal) || !line.Contains(rights, StringComparison.Ordinal)) continue;
            var range = line[..line.IndexOf(' ', StringComparison.Ordinal)].Split('-');
            sum += long.Parse(range[1], NumberStyles.HexNumber) - long.Parse(range[0], NumberStyles.HexNumber);
        }
        return sum;
    }

    private static IEnumerable<int> All() =>
        Directory.EnumerateDirectories("/proc").Select(Path.GetFileName).Where(name => int.TryParse(name, out _)).Select(name => int.Parse(name!));

    private static string CommandLine(int processId) => Read($"{processId}", "cmdline") ?? "";

    private static (char Kind, int Parent)? State(int processId) => State($"{processId}");

    private static (char Kind, int Parent)? State(string task)
    {
        if (Read(task, "stat") is not { } stat) return null;
        // pid (name) state ppid …; the name may hold anything.
        var words = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        return (words[0][0], int.Parse(words[1]));
    }

    private static string? Read(string task, string file)
    {
        try
        {
            return File.ReadAllText($"/proc/{task}/{file}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
