using VmShunt.Perf.Lifecycle.Guests;
using VmShunt.Perf.Lifecycle.Rigs;
using VmShunt.Ring.VhostUser;

namespace VmShunt.Perf.Lifecycle;

/// <summary>A front-end of the matrix.</summary>
/// <param name="Name">In the results.</param>
/// <param name="Title">In the table.</param>
/// <param name="StartAsync">Starts it with four disks.</param>
/// <param name="Missing">Why it cannot run here, or null.</param>
internal sealed record LifecycleFrontend(string Name, string Title, Func<VhostUserProtocolFeatures, Task<Rig>> StartAsync, Func<string?> Missing)
{
    internal static IReadOnlyList<LifecycleFrontend> All { get; } =
    [
        new("qemu", "QEMU, Debian stable", static async withheld => await QemuRig.BootAsync(QemuProgram.Machine, withheld), LinuxGuest.Missing),
        new("qemu-sid", "QEMU, Debian sid", static async withheld => await QemuRig.BootAsync(QemuProgram.Sid, withheld), static () => LinuxGuest.Missing() ?? QemuSid.Missing()),
        new("own", "our driver (`vmshunt-guest --bus`)", static async withheld => await OwnRig.StartAsync(withheld), static () => null),
    ];
}
