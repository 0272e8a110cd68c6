using VmShunt.Perf.Disks;

namespace VmShunt.EndToEnd.Processes;

/// <summary>The launcher's own kind of disk (boot, data, dump), made once per run and copied for each test.</summary>
public sealed class OwnDisk
{
    /// <summary>The guest's memory in these tests, which the dump partition holds.</summary>
    internal const long MemoryBytes = 32 << 20;

    private static readonly Lazy<string> s_template = new(Make);

    /// <summary>Puts a copy into a test's folder.</summary>
    /// <returns>Its path.</returns>
    internal string CopyTo(TestFolder folder)
    {
        var copy = folder["disk.img"];
        File.Copy(s_template.Value, copy);
        return copy;
    }

    private static string Make()
    {
        var folder = TestFolder.UntilExit();
        DefaultDisk.Make(folder["own.img"], AppContext.BaseDirectory, MemoryBytes);
        return folder["own.img"];
    }
}
