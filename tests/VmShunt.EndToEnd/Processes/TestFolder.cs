namespace VmShunt.EndToEnd.Processes;

/// <summary>A folder for a test's files and sockets, deleted after the test. Its name differs from the launcher's, which tests search for.</summary>
internal sealed class TestFolder : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("e2e-");

    internal string Path => _folder.FullName;

    internal string this[string name] => System.IO.Path.Combine(Path, name);

    /// <summary>Makes a folder that all tests of this process may use.</summary>
    internal static TestFolder UntilExit()
    {
        var folder = new TestFolder();
        AppDomain.CurrentDomain.ProcessExit += (_, _) => folder.Dispose();
        return folder;
    }

    /// <summary>Makes a file of random bytes.</summary>
    /// <returns>Its path.</returns>
    internal string RandomFile(string name, int bytes, int seed = 11)
    {
        var content = new byte[bytes];
        new Random(seed).NextBytes(content);
        File.WriteAllBytes(this[name], content);
        return this[name];
    }

    public void Dispose() => _folder.Delete(recursive: true);
}
