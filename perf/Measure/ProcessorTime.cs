using System.Globalization;

namespace VmShunt.Perf.Measure;

/// <summary>
/// The CPU time that another process has used, in nanoseconds, summed over its living threads
/// (<c>/proc/PID/task/TID/schedstat</c>; <c>/proc/PID/stat</c> only counts in ticks of 10 ms). A thread that ends takes its share
/// along, so a difference is right as long as the working threads live on.
/// </summary>
internal static class ProcessorTime
{
    /// <returns>Nanoseconds; 0 when the process is gone or the kernel keeps no such account.</returns>
    internal static long Of(int processId)
    {
        long sum = 0;
        try
        {
            foreach (var task in Directory.EnumerateDirectories($"/proc/{processId}/task"))
                if (TryRead(Path.Combine(task, "schedstat"), out var nanoseconds)) sum += nanoseconds;
        }
        catch (IOException)
        {
            // The process has ended; the caller hears of it elsewhere.
        }
        return sum;
    }

    /// <summary>The same of the calling thread alone.</summary>
    internal static long OfCurrentThread() => TryRead("/proc/thread-self/schedstat", out var nanoseconds) ? nanoseconds : 0;

    private static bool TryRead(string path, out long nanoseconds)
    {
        nanoseconds = 0;
        try
        {
            ReadOnlySpan<char> text = File.ReadAllText(path);
            var end = text.IndexOf(' ');
            return end > 0 && long.TryParse(text[..end], NumberStyles.None, CultureInfo.InvariantCulture, out nanoseconds);
        }
        catch (IOException)
        {
            return false;
        }
    }
}
