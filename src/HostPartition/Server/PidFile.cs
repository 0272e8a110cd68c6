using System.Globalization;
using VmShunt.Terminal;

namespace VmShunt.HostPartition;

/// <summary>A file with this process's id, from its start until its end.</summary>
internal sealed class PidFile : IDisposable
{
    private readonly string _path;
    private readonly string _content;

    private PidFile(string path, string content) => (_path, _content) = (path, content);

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
            var content = Environment.ProcessId.ToString(CultureInfo.InvariantCulture) + "\n";
            File.WriteAllText(temporary, content);
            File.Move(temporary, path, overwrite: true);
            return new PidFile(path, content);
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
            // A successor's stays.
            if (File.ReadAllText(_path) == _content) File.Delete(_path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            ErrorLine.Write($"vmshunt-host: --pid-file {_path} stays: {e.Message}");
        }
    }
}
