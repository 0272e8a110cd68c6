using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Processes;

/// <summary>A fact that needs a file system of its own, mounted where only one process sees it. Many containers forbid that.</summary>
public sealed class FactIfMountsAreAllowedAttribute : FactAttribute
{
    private static readonly bool s_allowed = SmallFileSystem.IsAllowed();

    public FactIfMountsAreAllowedAttribute()
    {
        if (!s_allowed) Skip = "user and mount namespaces are not allowed here (unshare --map-root-user --mount)";
    }
}

/// <summary>VM-H with its disk on a file system of a few megabytes, mostly full, in a mount namespace of its own.</summary>
internal static class SmallFileSystem
{
    private const string Filler = "filler", Disk = "disk.img";

    internal static bool IsAllowed()
    {
        if (Installed.Find("unshare") is not { } unshare) return false;
        using var process = System.Diagnostics.Process.Start(unshare, ["--map-root-user", "--mount", "true"]);
        return process.WaitForExit(Until.Patience) && process.ExitCode == 0;
    }

    /// <summary>Starts VM-H.</summary>
    /// <param name="folder">Where the file system is mounted, for VM-H alone.</param>
    /// <param name="megabytes">Its size.</param>
    /// <param name="taken">Megabytes of it that a filler file occupies.</param>
    /// <param name="diskBytes">The size of the disk, all of it a hole.</param>
    /// <param name="arguments">For VM-H, besides the disk.</param>
    internal static async Task<ChildProcess> StartHostAsync(string folder, int megabytes, int taken, long diskBytes, params string[] arguments)
    {
        var host = OwnPrograms.Find("vmshunt-host");
        var script = $"mount -t tmpfs -o size={megabytes}m none '{folder}' && head -c {taken}M /dev/zero > '{folder}/{Filler}' "
            + $"&& truncate -s {diskBytes} '{folder}/{Disk}' && exec \"$@\"";
        var child = Programs.Start(
            Installed.Require("unshare"),
            ["--map-root-user", "--mount", "sh", "-c", script, "sh", host, "--disk", Path.Combine(folder, Disk), .. arguments]);
        try
        {
            await Programs.WaitForLineAsync(child, "ready");
            return child;
        }
        catch
        {
            await child.DisposeAsync();
            throw;
        }
    }

    /// <summary>Deletes the filler file.</summary>
    internal static void MakeRoom(ChildProcess host, string folder) => File.Delete($"/proc/{host.Id}/root{folder}/{Filler}");
}
