using VmShunt.Perf.Disks;

namespace VmShunt.EndToEnd.Processes;

/// <summary>The launcher's own kind of disk (boot, data, dump), made once and copied for each test.</summary>
public sealed class OwnDisk : IDisposable
{
    /// <summary>The guest's memory in these tests, which the dump partition holds.</summary>
    internal const long MemoryBytes = 32 << 20;

    private readonly TestFolder _folder = new();
    private readonly string _path;

    public OwnDisk()
    {
        _path = _folder["own.img"];
        DefaultDisk.Make(_path, AppContext.BaseDirectory, MemoryBytes);
    }

    /// <summary>Puts a copy into a test's folder.</summary>
    /// <returns>Its path.</returns>
    internal string CopyTo(TestFolder folder)
    {
        var copy = folder["disk.img"];
        File.Copy(_path, copy);
        return copy;
    }

    public void Dispose() => _folder.Dispose();
}
