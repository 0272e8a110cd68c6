namespace VmShunt.Perf.Launch;

/// <summary>The files that a measurement is to be written to: tried before it begins, not minutes later.</summary>
internal static class ResultFiles
{
    /// <param name="paths">The files; null ones were not asked for.</param>
    /// <exception cref="LaunchException">One of them cannot be written.</exception>
    internal static void Check(params ReadOnlySpan<string?> paths)
    {
        foreach (var path in paths)
        {
            if (path is not null) Check(path);
        }
    }

    private static void Check(string path)
    {
        try
        {
            var exists = File.Exists(path);
            File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite).Dispose();
            if (!exists) File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new LaunchException($"the result cannot be written to {path}: {(Directory.Exists(path) ? "it is a folder" : e.Message)}", e);
        }
    }
}
