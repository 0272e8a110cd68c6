using VmShunt.Perf.Lifecycle.Rigs;
using VmShunt.Ring.VhostUser;

namespace VmShunt.Perf.Lifecycle;

/// <summary>A cell of the matrix.</summary>
/// <param name="Frontend">The name of a <see cref="LifecycleFrontend"/>.</param>
/// <param name="Withheld">The name of one of <see cref="WithheldFeatures"/>.</param>
/// <param name="Event">The name of a <see cref="LifecycleEvent"/>.</param>
/// <param name="IsPacked">The layout of the ring.</param>
/// <param name="IsLoaded">Whether the disk is under load.</param>
internal sealed record LifecycleCell(string Frontend, string Withheld, string Event, bool IsPacked, bool IsLoaded)
{
    /// <summary>What the relay withholds, by name; each in turn.</summary>
    internal static IReadOnlyList<(string Name, VhostUserProtocolFeatures Features)> WithheldFeatures { get; } =
    [
        ("nothing", VhostUserProtocolFeatures.None),
        ("INFLIGHT", VhostUserProtocolFeatures.InflightSharedMemory),
        ("STATUS", VhostUserProtocolFeatures.Status),
        ("RESET_DEVICE", VhostUserProtocolFeatures.ResetDevice),
    ];

    internal string Layout => IsPacked ? "packed" : "split";

    internal string Load => IsLoaded ? "load" : "idle";

    /// <summary>All cells of an event: one per disk of a rig.</summary>
    internal static IEnumerable<LifecycleCell> Of(string frontend, string withheld, LifecycleEvent what) =>
        Rig.Disks.Select(disk => new LifecycleCell(frontend, withheld, what.Name, disk.IsPacked, disk.IsLoaded));

    /// <summary>Every cell.</summary>
    internal static IEnumerable<LifecycleCell> All() =>
        from frontend in LifecycleFrontend.All from withheld in WithheldFeatures from what in LifecycleEvent.All from cell in Of(frontend.Name, withheld.Name, what) select cell;

    /// <summary>As the command line selects it, by any text in it.</summary>
    public override string ToString() => $"{Frontend}:{Withheld}:{Event}:{Layout}:{Load}";
}
