using VmShunt.Guest.Shunt.Modes;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Guest.Mode;

/// <summary>The kind of a disk's shunt.</summary>
/// <param name="Source">How it knows the mode.</param>
/// <param name="Position">Its position in the emulating stack.</param>
/// <param name="Criterion">The criterion for primary requests; null: all with an enlightened stack, importance without.</param>
/// <param name="Primary">By importance: the primary types; null: read and write. By frequency and effort: the candidates; null: all that VM-H supports.</param>
internal sealed record ShuntOptions(ModeSource Source, ShuntPosition Position, PrimaryCriterion? Criterion, RequestTypes? Primary)
{
    internal static ShuntOptions Default { get; } = new(ModeSource.Told, ShuntPosition.BelowClass, null, null);

    /// <summary>The criterion in a mode.</summary>
    internal PrimaryCriterion CriterionIn(GuestMode mode) =>
        Criterion ?? (mode == GuestMode.Alternate ? PrimaryCriterion.Importance : PrimaryCriterion.All);

    /// <summary>The request types that the shunt may send over the ring in a mode.</summary>
    internal RequestTypes PrimaryIn(GuestMode mode, RequestTypes implemented) => CriterionIn(mode) switch
    {
        PrimaryCriterion.All => RequestTypes.All,
        PrimaryCriterion.Importance => Primary ?? RequestTypes.Data,
        _ => Primary ?? implemented,
    };
}
