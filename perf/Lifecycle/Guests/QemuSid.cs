using VmShunt.Perf.Lifecycle.Processes;

namespace VmShunt.Perf.Lifecycle.Guests;

/// <summary>QEMU from Debian's sid, with the vfio-user client, in artifacts/qemu-sid: <c>tests/qemu-sid.sh</c> unpacks it there.</summary>
internal static class QemuSid
{
    private static readonly string s_root = Path.Combine(Repository.Root, "artifacts", "qemu-sid");
    private static readonly string s_libraries = Path.Combine(s_root, "usr", "lib", "x86_64-linux-gnu");

    /// <summary>Where UEFI firmware (OVMF) is.</summary>
    internal static string FirmwareFolder { get; } = Path.Combine(s_root, "usr", "share", "OVMF");

    internal static bool IsUnpacked => File.Exists(Path.Combine(s_root, "usr", "bin", "qemu-system-x86_64"));

    /// <summary>The program and its first arguments: it runs with its own loader and libraries.</summary>
    internal static string[] Command()
    {
        if (!IsUnpacked) throw new InvalidOperationException("QEMU from sid is not in artifacts/qemu-sid: run tests/qemu-sid.sh artifacts/qemu-sid");
        return
        [
            "/usr/bin/env", $"QEMU_MODULE_DIR={Path.Combine(s_libraries, "qemu")}",
            Path.Combine(s_libraries, "ld-linux-x86-64.so.2"), "--library-path", s_libraries, Path.Combine(s_root, "usr", "bin", "qemu-system-x86_64"),
            "-L", Path.Combine(s_root, "usr", "share", "qemu"), "-L", Path.Combine(s_root, "usr", "share", "seabios"),
        ];
    }

    /// <returns>Why it cannot run here, or null; in CI always null, so that what needs it fails.</returns>
    internal static string? Missing() =>
        Installed.IsContinuousIntegration || IsUnpacked ? null : "QEMU from sid is not unpacked: tests/qemu-sid.sh artifacts/qemu-sid";
}
