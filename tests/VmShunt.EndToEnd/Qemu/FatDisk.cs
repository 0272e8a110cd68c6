namespace VmShunt.EndToEnd.Qemu;

/// <summary>A disk with one FAT file system, made by the machine's dosfstools and mtools.</summary>
internal static class FatDisk
{
    private const int Kilobytes = 64 << 10;

    /// <summary>Makes the disk.</summary>
    /// <param name="path">The disk.</param>
    /// <param name="files">As (file, name); a name's folders are made.</param>
    /// <param name="isPartitioned">Whether a partition table has the file system as its one partition.</param>
    internal static async Task WriteAsync(string path, IEnumerable<(string File, string Name)> files, bool isPartitioned = false)
    {
        string[] table = isPartitioned ? ["--mbr=yes"] : [];
        await RunAsync("mkfs.vfat", [.. table, "-C", path, $"{Kilobytes}"]);
        var folders = new HashSet<string>();
        foreach (var (file, name) in files)
        {
            for (var slash = name.IndexOf('/'); slash >= 0; slash = name.IndexOf('/', slash + 1))
            {
                if (folders.Add(name[..slash])) await RunAsync("mmd", "-i", path, "::" + name[..slash]);
            }
            await RunAsync("mcopy", "-i", path, file, "::" + name);
        }
    }

    internal static async Task RunAsync(string program, params string[] arguments)
    {
        var ended = await Programs.RunAsync(Installed.Require(program), arguments);
        Assert.True(ended.ExitCode == 0, $"{program} exited with {ended.ExitCode}: {ended.ErrorText}");
    }
}
