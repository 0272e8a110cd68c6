namespace VmShunt.Perf.Launch;

/// <summary>A temporary folder for sockets and files; Dispose deletes it. Its path is short: a socket's path may have at most 107 bytes.</summary>
internal sealed class WorkFolder : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vmshunt-");

    internal string this[string name] => Path.Combine(_folder.FullName, name);

    public void Dispose() => _folder.Delete(recursive: true);
}
