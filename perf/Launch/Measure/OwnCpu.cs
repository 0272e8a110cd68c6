using System.Globalization;

namespace VmShunt.Perf.Measure;

/// <summary>
/// The CPU time of this process and its descendants, including those that have exited (proc(5), <c>/proc/PID/stat</c>).
/// </summary>
internal static class OwnCpu
{
    // sysconf(_SC_CLK_TCK) is 100 on every Linux that .NET supports.
    private const long NanosecondsPerTick = 10_000_000;

    internal static long Nanoseconds()
    {
        var parents = new Dictionary<int, int>();
        foreach (var folder in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(folder.AsSpan()), CultureInfo.InvariantCulture, out var id) && Stat(id) is { } stat)
                parents[id] = int.Parse(stat[1], CultureInfo.InvariantCulture);
        }
        var sum = Exited();
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

    // cutime and cstime, fields 16 and 17: children that have exited and were waited for.
    private static long Exited() => Stat(Environment.ProcessId) is { } stat
        ? (long.Parse(stat[13], CultureInfo.InvariantCulture) + long.Parse(stat[14], CultureInfo.InvariantCulture)) * NanosecondsPerTick
        : 0;

    /// <returns>The fields from the third on: state, parent, …; null if the process does not exist.</returns>
    private static string[]? Stat(int id)
    {
        try
        {
            var text = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{id}/stat"));
            // The name, in parentheses, may contain spaces and parentheses.
            return text[(text.LastIndexOf(')') + 2)..].Split(' ');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
