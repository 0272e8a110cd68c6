using VmShunt.Perf.Launch;
using VmShunt.Ring.Files;

namespace VmShunt.Perf.Disks;

/// <summary>A disk that the user named: looked at before anything is started, so that a mistake is answered here.</summary>
internal static class UserDisk
{
    /// <returns>Its size in bytes.</returns>
    /// <exception cref="LaunchException">It cannot be used.</exception>
    internal static long Check(string path, bool allowWrites)
    {
        try
        {
            using var file = File.OpenHandle(path, FileMode.Open, allowWrites ? FileAccess.ReadWrite : FileAccess.Read, FileShare.ReadWrite);
            var bytes = DiskFile.GetSize(file);
            return bytes > 0 ? bytes : throw new LaunchException($"the disk {path} has 0 bytes: give one with content");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LaunchException($"the disk {path} cannot be opened: {e.Message}", e);
        }
    }
}
