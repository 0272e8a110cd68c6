using VmShunt.Perf.Lifecycle.Processes;

namespace VmShunt.Perf.Lifecycle.Guests;

/// <summary>What a Linux guest needs of this machine.</summary>
internal static class LinuxGuest
{
    /// <returns>What is missing, or null; in CI always null, so that what needs it fails.</returns>
    internal static string? Missing() =>
        Installed.IsContinuousIntegration ? null
        : Installed.Find("qemu-system-x86_64") is null ? "qemu-system-x86_64 is not installed"
        : Installed.Find("busybox") is null ? "busybox is not installed"
        : Installed.Find("mke2fs") is null ? "mke2fs is not installed"
        : GuestKernel.Image is null ? "no kernel for a guest was found: see docs/using-with-qemu.md"
        : null;
}
