using System.Diagnostics;
using System.Runtime.CompilerServices;
using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>
/// A Linux kernel with its modules, as Debian's linux-image package has them: in the folder that VMSHUNT_GUEST_KERNEL
/// names, in artifacts/guest-kernel (where <c>.ci/run</c> unpacks one), or the machine's own.
/// </summary>
internal static class GuestKernel
{
    // Where an x86 image says how long its real-mode part is, where its payload begins and how long that is
    // (Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length).
    private const int SetupSectorsAt = 0x1f1, PayloadOffsetAt = 0x248, PayloadLengthAt = 0x24c, SectorBytes = 512;

    // The programs that unpack a payload, by its first bytes.
    private static readonly (byte[] Magic, string Program)[] s_unpackers =
    [
        ([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], "xz"), ([0x28, 0xb5, 0x2f, 0xfd], "zstd"), ([0x1f, 0x8b], "gzip"),
    ];

    private static readonly Lazy<string> s_bootable = new(Unpack);

    // In the order in which they can be loaded.
    private static readonly string[] s_modules =
    [
        "crc16", "crc32c_generic", "mbcache", "jbd2", "ext4",
        "virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk",
    ];

    /// <summary>The kernel's image, or null.</summary>
    internal static string? Image { get; } = Roots()
        .Select(static root => Path.Combine(root, "boot"))
        .Where(Directory.Exists)
        .SelectMany(static folder => Directory.EnumerateFiles(folder, "vmlinuz-*"))
        .FirstOrDefault(static image => ModulesOf(image).Any(static file => Path.GetFileName(file) == "virtio_blk.ko"));

    /// <summary>
    /// What QEMU boots: the unpacked kernel, which it starts by its PVH entry, or the image as it is. A kernel that unpacks
    /// itself needs three times as long to boot in an emulated processor.
    /// </summary>
    internal static string Bootable => s_bootable.Value;

    /// <summary>The modules that a guest loads, as (name, file).</summary>
    internal static IEnumerable<(string Name, string File)> Modules()
    {
        var files = ModulesOf(Image!).ToLookup(static file => Path.GetFileNameWithoutExtension(file));
        return s_modules.Where(files.Contains).Select(name => (name, files[name].First()));
    }

    private static string Unpack()
    {
        var image = File.ReadAllBytes(Image!);
        var payload = image.AsSpan((image[SetupSectorsAt] + 1) * SectorBytes + BitConverter.ToInt32(image, PayloadOffsetAt));
        // The last four bytes are the size of the unpacked kernel.
        payload = payload[..(BitConverter.ToInt32(image, PayloadLengthAt) - sizeof(int))];
        foreach (var (magic, program) in s_unpackers)
        {
            if (!payload.StartsWith(magic) || Installed.Find(program) is not { } unpacker) continue;
            var folder = TestFolder.UntilExit();
            File.WriteAllBytes(folder["packed"], payload);
            using var unpacking = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", $"'{unpacker}' -dc < '{folder["packed"]}' > '{folder["vmlinux"]}'"]))!;
            unpacking.WaitForExit();
            if (unpacking.ExitCode == 0) return folder["vmlinux"];
        }
        return Image!;
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

/// <summary>A fact with a Linux guest in QEMU. Without the programs it is skipped, but not in CI: there it runs, and fails.</summary>
public sealed class LinuxGuestFactAttribute : FactAttribute
{
    public LinuxGuestFactAttribute() => Skip = Missing();

    internal static string? Missing() =>
        Installed.IsContinuousIntegration ? null
        : Installed.Find("qemu-system-x86_64") is null ? "qemu-system-x86_64 is not installed"
        : Installed.Find("busybox") is null ? "busybox is not installed"
        : Installed.Find("mke2fs") is null ? "mke2fs is not installed"
        : GuestKernel.Image is null ? "no kernel for a guest was found: see docs/using-with-qemu.md"
        : null;
}

/// <summary>As <see cref="LinuxGuestFactAttribute"/>, with data.</summary>
public sealed class LinuxGuestTheoryAttribute : TheoryAttribute
{
    public LinuxGuestTheoryAttribute() => Skip = LinuxGuestFactAttribute.Missing();
}
