using System.Runtime.CompilerServices;

namespace VmShunt.Perf.Lifecycle.Guests;

/// <summary>
/// A Linux kernel with its modules, as Debian's linux-image package has them: in the folder that VMSHUNT_GUEST_KERNEL
/// names, in artifacts/guest-kernel (where <c>.ci/run</c> unpacks one), or the machine's own.
/// </summary>
internal static class GuestKernel
{
    // In the order in which they can be loaded.
    private static readonly string[] s_modules =
    [
        "crc16", "crc32c_generic", "mbcache", "jbd2", "ext4",
        "virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk", "virtio-rng",
        "crc64", "crc64-rocksoft", "crct10dif_common", "crc-t10dif", "t10-pi", "scsi_common", "scsi_mod", "libata", "libahci", "ahci", "sd_mod",
    ];

    /// <summary>The kernel's image, or null.</summary>
    internal static string? Image { get; } = Roots()
        .Select(static root => Path.Combine(root, "boot"))
        .Where(Directory.Exists)
        .SelectMany(static folder => Directory.EnumerateFiles(folder, "vmlinuz-*"))
        .FirstOrDefault(static image => ModulesOf(image).Any(static file => Path.GetFileName(file) == "virtio_blk.ko"));

    /// <summary>The modules that a guest loads, as (name, file).</summary>
    internal static IEnumerable<(string Name, string File)> Modules()
    {
        var files = ModulesOf(Image!).ToLookup(static file => Path.GetFileNameWithoutExtension(file));
        return s_modules.Where(files.Contains).Select(name => (name, files[name].First()));
    }

    private static IEnumerable<string> ModulesOf(string image)
    {
        var version = Path.GetFileName(image)["vmlinuz-".Length..];
        var folder = Path.Combine(Path.GetDirectoryName(image)!, "..", "lib", "modules", version);
        return Directory.Exists(folder) ? Directory.EnumerateFiles(folder, "*.ko", SearchOption.AllDirectories) : [];
    }

    private static IEnumerable<string> Roots([CallerFilePath] string here = "") =>
        new[] { Environment.GetEnvironmentVariable("VMSHUNT_GUEST_KERNEL"), Path.Combine(Path.GetDirectoryName(here)!, "..", "..", "..", "artifacts", "guest-kernel"), "/" }
            .OfType<string>();
}
