namespace VmShunt.Guest.Commands;

/// <summary>A file of the host that a command reads or writes. What is wrong with it fails the command, and says so with its name.</summary>
internal static class HostFile
{
    /// <summary>Opens a file whose size is known: no pipe or device.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    internal static FileStream OpenRead(string path) => Open(path, "read", () =>
    {
        var file = File.OpenRead(path);
        if (file.CanSeek) return file;
        file.Dispose();
        throw new IOException("it is no regular file, so its size is not known");
    });

    /// <summary>Creates a file, or empties it.</summary>
    /// <exception cref="IOException">It cannot be written.</exception>
    internal static FileStream Create(string path) => Open(path, "written", () => File.Create(path));

    private static FileStream Open(string path, string verb, Func<FileStream> open)
    {
        try
        {
            return open();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new IOException($"{path} cannot be {verb}: {(Directory.Exists(path) ? "it is a folder" : e.Message)}", e);
        }
    }
}
