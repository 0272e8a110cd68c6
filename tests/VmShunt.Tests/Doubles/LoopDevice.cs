using System.Diagnostics;

namespace VmShunt.Tests.Doubles;

/// <summary>A theory that needs loop devices. Containers rarely have them.</summary>
public sealed class TheoryIfLoopDevicesAttribute : TheoryAttribute
{
    private static readonly bool s_possible = Environment.IsPrivilegedProcess && LoopDevice.Losetup("-f") is not null;

    public TheoryIfLoopDevicesAttribute()
    {
        if (!s_possible) Skip = "loop devices need root and the loop driver";
    }
}

/// <summary>A loop device with its own file.</summary>
internal sealed class LoopDevice : IDisposable
{
    internal LoopDevice(long bytes, int sectorBytes)
    {
        Image = new DiskImage(bytes);
        Path = Losetup("--find", "--show", "--sector-size", $"{sectorBytes}", Image.Path) ?? throw new IOException($"no loop device of {sectorBytes}-byte sectors");
    }

    /// <summary>The device's file.</summary>
    internal DiskImage Image { get; }

    internal string Path { get; }

    /// <summary>Resizes the file and the device.</summary>
    internal void Resize(long bytes)
    {
        using (var file = new FileStream(Image.Path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) file.SetLength(bytes);
        Assert.NotNull(Losetup("--set-capacity", Path));
    }

    /// <returns>Its output, or null when it fails.</returns>
    internal static string? Losetup(params string[] arguments)
    {
        try
        {
            var start = new ProcessStartInfo("losetup", arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
            start.Environment["PATH"] += ":/usr/sbin:/sbin";
            using var process = Process.Start(start)!;
            var output = process.StandardOutput.ReadToEnd();
            return process.WaitForExit(60_000) && process.ExitCode == 0 ? output.Trim() : null;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null;
        }
    }

    public void Dispose()
    {
        Losetup("--detach", Path);
        Image.Dispose();
    }
}
