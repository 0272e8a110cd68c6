namespace VmShunt.EndToEnd.Qemu;

/// <summary>A disk from which the firmware of a PC boots our Linux: a FAT file system with SYSLINUX, the kernel and the initramfs.</summary>
internal static class BootDisk
{
    private const int Kilobytes = 64 << 10;

    private const string Configuration =
        """
        DEFAULT linux
        LABEL linux
            KERNEL vmlinuz
            INITRD initrd
            APPEND console=ttyS0 quiet no_timer_check

        """;

    internal static async Task WriteAsync(string path)
    {
        var configuration = path + ".cfg";
        await File.WriteAllTextAsync(configuration, Configuration);
        await RunAsync("mkfs.vfat", "-C", path, $"{Kilobytes}");
        await RunAsync("mcopy", "-i", path, GuestKernel.Image!, "::vmlinuz");
        await RunAsync("mcopy", "-i", path, Initramfs.File, "::initrd");
        await RunAsync("mcopy", "-i", path, configuration, "::syslinux.cfg");
        await RunAsync("syslinux", "--install", path);
    }

    private static async Task RunAsync(string program, params string[] arguments)
    {
        var ended = await Programs.RunAsync(Installed.Require(program), arguments);
        Assert.True(ended.ExitCode == 0, $"{program} exited with {ended.ExitCode}: {ended.ErrorText}");
    }
}
