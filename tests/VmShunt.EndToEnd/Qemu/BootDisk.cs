namespace VmShunt.EndToEnd.Qemu;

/// <summary>A disk from which the firmware of a PC boots our Linux: a FAT file system with SYSLINUX, the kernel and the initramfs.</summary>
internal static class BootDisk
{
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
        await FatDisk.WriteAsync(path, [(GuestKernel.Image!, "vmlinuz"), (Initramfs.File, "initrd"), (configuration, "syslinux.cfg")]);
        await FatDisk.RunAsync("syslinux", "--install", path);
    }
}
