using System.Globalization;
using System.Runtime.InteropServices;

namespace VmShunt.Tests.Doubles;

/// <summary>
/// Counts this process's descriptors of one open file. Other tests open and close descriptors concurrently, so a count of
/// all descriptors would be useless.
/// </summary>
internal static class Descriptors
{
    internal static int Of(SafeHandle handle)
    {
        var wanted = Identity($"{handle.DangerousGetHandle()}");
        Assert.NotNull(wanted);
        return Directory.GetFileSystemEntries("/proc/self/fd").Count(path => Identity(Path.GetFileName(path)) == wanted);
    }

    // The inode identifies a memory file, the link target a socket or a pipe, the id an eventfd.
    private static string? Identity(string descriptor)
    {
        try
        {
            var target = new FileInfo($"/proc/self/fd/{descriptor}").LinkTarget;
            if (target is null) return null;
            var info = File.ReadAllLines($"/proc/self/fdinfo/{descriptor}");
            return target + string.Concat(info.Where(line =>
                line.StartsWith("ino:", true, CultureInfo.InvariantCulture) || line.StartsWith("eventfd-id:", true, CultureInfo.InvariantCulture)));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Another thread closed it.
            return null;
        }
    }
}
