namespace VmShunt.Perf.Lifecycle.Rigs;

/// <summary>What became of a cell of the matrix.</summary>
internal enum LifecycleVerdict
{
    /// <summary>The disk is used again, no data differs and the guest saw no error.</summary>
    Passed,

    /// <summary>The disk does no I/O after 30 s, and VM-H does not say why.</summary>
    Lost,

    /// <summary>Data differs, or the guest saw an error.</summary>
    Wrong,

    /// <summary>The disk does no I/O, which the protocol cannot prevent, and VM-H says so in its log.</summary>
    CannotBeSaved,

    /// <summary>The front-end has no such event.</summary>
    DoesNotExist,

    /// <summary>It was not tried.</summary>
    NotRun,
}

/// <summary>The outcome of an event for one disk.</summary>
/// <param name="IsPacked">The disk's ring is packed.</param>
/// <param name="IsLoaded">The disk was under load.</param>
/// <param name="Verdict">What became of it.</param>
/// <param name="Detail">Why, in one line.</param>
internal sealed record CellOutcome(bool IsPacked, bool IsLoaded, LifecycleVerdict Verdict, string Detail = "")
{
    /// <summary>The same for all four disks of a rig.</summary>
    internal static IReadOnlyList<CellOutcome> OfAll(LifecycleVerdict verdict, string detail) =>
        [.. Rig.Disks.Select(disk => new CellOutcome(disk.IsPacked, disk.IsLoaded, verdict, detail))];
}
