using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Ring.Files;

/// <summary>
/// Finds the process that holds a <see cref="FileRangeLock"/>. The kernel does not report the owner of such a lock, but
/// <c>/proc/PID/fdinfo</c> lists the locks of every descriptor (proc(5)).
/// </summary>
public static class FileLockHolder
{
    /// <summary>Finds another process that holds a lock on one of the bytes.</summary>
    /// <param name="file">The file; the caller must hold a lock on it, which shows its inode.</param>
    /// <param name="positions">The bytes.</param>
    /// <returns>Its id and its program's name; null when it is not visible, as a process of another user or container.</returns>
    public static (int ProcessId, string Name)? Find(SafeFileHandle file, params ReadOnlySpan<long> positions)
    {
        ArgumentNullException.ThrowIfNull(file);
        var own = $"/proc/{Environment.ProcessId}/fdinfo/{file.DangerousGetHandle()}";
        // lock: 1: OFDLCK ADVISORY READ -1 fe:00:11657299 101 101
        var inode = ReadLocks(own).Select(words => words[^3]).FirstOrDefault();
        if (inode is null) return null;
        foreach (var folder in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), NumberStyles.None, CultureInfo.InvariantCulture, out var id)) continue;
            foreach (var descriptor in Descriptors(folder))
            {
                if (descriptor == own) continue;
                foreach (var words in ReadLocks(descriptor))
                    if (words[^3] == inode && Covers(words, positions)) return (id, NameOf(folder));
            }
        }
        return null;
    }

    private static bool Covers(string[] words, ReadOnlySpan<long> positions)
    {
        if (!long.TryParse(words[^2], NumberStyles.None, CultureInfo.InvariantCulture, out var first)) return false;
        var last = long.TryParse(words[^1], NumberStyles.None, CultureInfo.InvariantCulture, out var end) ? end : long.MaxValue;
        foreach (var position in positions)
            if (position >= first && position <= last) return true;
        return false;
    }

    private static string[] Descriptors(string folder)
    {
        try
        {
            return Directory.GetFileSystemEntries(Path.Combine(folder, "fdinfo"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    private static IEnumerable<string[]> ReadLocks(string descriptor) =>
        Read(descriptor).Split('\n')
            .Where(line => line.StartsWith("lock:", StringComparison.Ordinal))
            .Select(line => line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))
            .Where(words => words.Length >= 8);

    private static string NameOf(string folder)
    {
        var program = Path.GetFileName(Read(Path.Combine(folder, "cmdline")).Split('\0')[0]);
        return program.Length > 0 ? program : Read(Path.Combine(folder, "comm")).Trim();
    }

    private static string Read(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The process has exited, or this one may not read it.
            return "";
        }
    }
}
