namespace VmShunt.Perf.Lifecycle.Guests;

/// <summary>How our Linux is started.</summary>
/// <param name="Arguments">More arguments of the kernel.</param>
/// <param name="Archive">Its initramfs; null for the usual one.</param>
/// <param name="Megabytes">The machine's memory.</param>
internal sealed record LinuxBoot(string Arguments = "", string? Archive = null, int Megabytes = LinuxBoot.UsualMegabytes)
{
    internal const int UsualMegabytes = 192;
}
