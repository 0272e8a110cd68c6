using VmShunt.Perf.Launch;
using VmShunt.Ring.Files;

namespace VmShunt.Perf.Disks;

/// <summary>Checks the disk given with --disk before any process starts, so that a mistake is reported at once.</summary>
internal static class UserDisk
{
    /// <returns>The size of the disk in bytes.</returns>
    /// <exception cref="LaunchException">The disk cannot be opened or is empty.</exception>
    internal static long Check(string path, bool allowWrites)
    {
        try
        {
            using var file = File.OpenHandle(path, FileMode.Open, allowWrites ? FileAccess.ReadWrite : FileAccess.Read, FileShare.ReadWrite);
            var bytes = DiskFile.GetSize(file);
            return bytes > 0 ? bytes : throw new LaunchException($"the disk {path} has 0 bytes; give a disk with content");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LaunchException($"the disk {path} cannot be opened: {e.Message}", e);
        }
    }
}
