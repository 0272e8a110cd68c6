using System.Globalization;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Sitting;

/// <summary>
/// The CPU time of this process, of everything it started, and of what those started, the ended ones included
/// (proc(5), <c>/proc/PID/stat</c>).
/// </summary>
internal static class OwnCpu
{
    // sysconf(_SC_CLK_TCK) is 100 wherever Linux runs .NET.
    private const long NanosecondsPerTick = 10_000_000;

    internal static long Nanoseconds()
    {
        var parents = new Dictionary<int, int>();
        foreach (var folder in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(folder.AsSpan()), CultureInfo.InvariantCulture, out var id) && Stat(id) is { } stat)
                parents[id] = int.Parse(stat[1], CultureInfo.InvariantCulture);
        }
        var sum = Ended();
        foreach (var id in parents.Keys)
            if (IsOurs(id, parents)) sum += ProcessorTime.Of(id);
        return sum;
    }

    private static bool IsOurs(int id, Dictionary<int, int> parents)
    {
        for (var steps = 0; steps < 16; steps++)
        {
            if (id == Environment.ProcessId) return true;
            if (!parents.TryGetValue(id, out id)) return false;
        }
        return false;
    }

    // cutime and cstime: fields 16 and 17, of children that have ended and were waited for.
    private static long Ended() => Stat(Environment.ProcessId) is { } stat
        ? (long.Parse(stat[13], CultureInfo.InvariantCulture) + long.Parse(stat[14], CultureInfo.InvariantCulture)) * NanosecondsPerTick
        : 0;

    /// <returns>The fields from the third on: state, parent, …; null when the process is gone.</returns>
    private static string[]? Stat(int id)
    {
        try
        {
            var text = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{id}/stat"));
            // The name, in parentheses, may hold anything.
            return text[(text.LastIndexOf(')') + 2)..].Split(' ');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
