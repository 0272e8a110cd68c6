using VmShunt.Perf.Lifecycle.Guests;
using VmShunt.Perf.Lifecycle.Rigs;
using VmShunt.Ring.VhostUser;

namespace VmShunt.Perf.Lifecycle;

/// <summary>A front-end of the matrix.</summary>
/// <param name="Name">In the results.</param>
/// <param name="Title">In the table.</param>
/// <param name="StartAsync">Starts it with four disks: withheld features, and VM-H's engine.</param>
/// <param name="Missing">Why it cannot run here, or null.</param>
internal sealed record LifecycleFrontend(string Name, string Title, Func<VhostUserProtocolFeatures, string, Task<Rig>> StartAsync, Func<string?> Missing)
{
    internal static IReadOnlyList<LifecycleFrontend> All { get; } =
    [
        new("qemu", "QEMU, Debian stable", static async (withheld, engine) => await QemuRig.BootAsync(QemuProgram.Machine, withheld, engine), LinuxGuest.Missing),
        new("qemu-sid", "QEMU, Debian sid", static async (withheld, engine) => await QemuRig.BootAsync(QemuProgram.Sid, withheld, engine), static () => LinuxGuest.Missing() ?? QemuSid.Missing()),
        new("own", "our driver (`vmshunt-guest --bus`)", static async (withheld, engine) => await OwnRig.StartAsync(withheld, engine), static () => null),
    ];
}
