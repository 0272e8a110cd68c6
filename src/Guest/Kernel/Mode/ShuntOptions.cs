using VmShunt.Guest.Shunt.Modes;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Guest.Mode;

/// <summary>What kind of shunt a disk has.</summary>
/// <param name="Source">How it knows the mode.</param>
/// <param name="Position">Where it is.</param>
/// <param name="Criterion">Why requests are primary; null: all with an enlightened stack, the important ones without.</param>
/// <param name="Primary">By importance: the list. By frequency and effort: what may become primary. Null: reads and writes; what VM-H does.</param>
internal sealed record ShuntOptions(ModeSource Source, ShuntPosition Position, PrimaryCriterion? Criterion, RequestTypes? Primary)
{
    internal static ShuntOptions Default { get; } = new(ModeSource.Told, ShuntPosition.BelowClass, null, null);

    /// <summary>The criterion in a mode.</summary>
    internal PrimaryCriterion CriterionIn(GuestMode mode) =>
        Criterion ?? (mode == GuestMode.Alternate ? PrimaryCriterion.Importance : PrimaryCriterion.All);

    /// <summary>The most that the shunt will send over the ring in a mode, to a VM-H that does so much.</summary>
    internal RequestTypes PrimaryIn(GuestMode mode, RequestTypes implemented) => CriterionIn(mode) switch
    {
        PrimaryCriterion.All => RequestTypes.All,
        PrimaryCriterion.Importance => Primary ?? RequestTypes.Data,
        _ => Primary ?? implemented,
    };
}
