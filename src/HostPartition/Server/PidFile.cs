using System.Globalization;
using VmShunt.Terminal;

namespace VmShunt.HostPartition;

/// <summary>A file with this process's id, from its start until its end.</summary>
internal sealed class PidFile : IDisposable
{
    private readonly string _path;

    private PidFile(string path) => _path = path;

    /// <summary>Writes it.</summary>
    /// <returns>Null without a path.</returns>
    /// <exception cref="IOException">It cannot be written.</exception>
    internal static PidFile? Write(string? path)
    {
        if (path is null) return null;
        try
        {
            // A reader never sees a part of it.
            var temporary = path + ".new";
            File.WriteAllText(temporary, Environment.ProcessId.ToString(CultureInfo.InvariantCulture) + "\n");
            File.Move(temporary, path, overwrite: true);
            return new PidFile(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new IOException($"cannot write --pid-file {path}: {e.Message}", e);
        }
    }

    public void Dispose()
    {
        try
        {
            File.Delete(_path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            ErrorLine.Write($"vmshunt-host: --pid-file {_path} stays: {e.Message}");
        }
    }
}
