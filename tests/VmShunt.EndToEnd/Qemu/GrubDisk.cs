namespace VmShunt.EndToEnd.Qemu;

/// <summary>A disk from which UEFI boots our Linux by GRUB: a FAT file system with GRUB, the kernel and the initramfs.</summary>
internal static class GrubDisk
{
    private static readonly string s_grub = Path.Combine(Repository.Root, "artifacts", "grub", "usr", "lib", "grub", "x86_64-efi", "monolithic", "grubx64.efi");

    /// <returns>What is missing, or null; in CI always null.</returns>
    internal static string? Missing() =>
        QemuSid.Missing() ?? LinuxGuest.Missing()
        ?? (Installed.IsContinuousIntegration || (File.Exists(s_grub) && Directory.Exists(QemuSid.FirmwareFolder)) ? null : "GRUB for UEFI or OVMF is not unpacked: .ci/run does it");

    internal static async Task WriteAsync(string path, string arguments)
    {
        var configuration = path + ".cfg";
        await File.WriteAllTextAsync(configuration, $"linux /vmlinuz {arguments}\ninitrd /initrd\nboot\n");
        await FatDisk.WriteAsync(path, [(s_grub, "EFI/BOOT/BOOTX64.EFI"), (configuration, "EFI/debian/grub.cfg"), (GuestKernel.Image!, "vmlinuz"), (Initramfs.File, "initrd")]);
    }

    /// <summary>OVMF as QEMU's options, with variables of its own: without them it forgets the boot order.</summary>
    internal static IEnumerable<string> Firmware(string variables)
    {
        File.Copy(Path.Combine(QemuSid.FirmwareFolder, "OVMF_VARS_4M.fd"), variables);
        return
        [
            "-drive", $"if=pflash,format=raw,readonly=on,file={Path.Combine(QemuSid.FirmwareFolder, "OVMF_CODE_4M.fd")}",
            "-drive", $"if=pflash,format=raw,file={variables}",
        ];
    }
}

/// <summary>As <see cref="QemuSidFactAttribute"/>, with GRUB.</summary>
public sealed class GrubFactAttribute : FactAttribute
{
    public GrubFactAttribute() => Skip = GrubDisk.Missing();
}
