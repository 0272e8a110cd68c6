using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch.Model;

namespace VmShunt.Perf.Launch;

/// <summary>The disk that the three processes are started on.</summary>
internal static class LaunchDisk
{
    /// <summary>Checks the user's disk, or makes a temporary one.</summary>
    /// <returns>Its path and its size.</returns>
    /// <exception cref="LaunchException">It cannot be opened or made.</exception>
    internal static (string Path, long Bytes) Prepare(LaunchOptions options, WorkFolder folder, ProgressLog log)
    {
        if (options.Disk is { } disk)
        {
            var bytes = UserDisk.Check(disk, options.AllowWrites);
            log.Line($"{disk}, {MemorySize.Format(bytes)}{(options.AllowWrites ? "" : ", read-only")}");
            return (Path.GetFullPath(disk), bytes);
        }
        var path = folder["disk.img"];
        var made = DefaultDisk.Make(path, options.ProgramFolder, options.MemoryBytes);
        log.Line($"created, {MemorySize.Format(made.Bytes)}: boot partition ({made.ImageFiles} assemblies), data partition, dump partition");
        return (path, made.Bytes);
    }
}
