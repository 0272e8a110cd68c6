using VmShunt.Guest.Shunt.Modes;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Guest.Shunt;

/// <summary>What kind of shunt a disk has.</summary>
/// <param name="Source">How it knows the mode.</param>
/// <param name="Position">Where it is.</param>
/// <param name="Criterion">Why requests are primary; null: all with an enlightened stack, the important ones without.</param>
/// <param name="Primary">By importance: the list. By frequency and effort: what may become primary. Null: reads and writes; what VM-H does.</param>
internal sealed record ShuntOptions(ModeSource Source, ShuntPosition Position, PrimaryCriterion? Criterion, RequestClasses? Primary)
{
    internal static ShuntOptions Default { get; } = new(ModeSource.Told, ShuntPosition.BelowClass, null, null);

    /// <summary>The criterion in a mode.</summary>
    internal PrimaryCriterion CriterionIn(GuestMode mode) =>
        Criterion ?? (mode == GuestMode.Alternate ? PrimaryCriterion.Importance : PrimaryCriterion.All);

    /// <summary>The most that the shunt will send over the ring in a mode, to a VM-H that does so much.</summary>
    internal RequestClasses PrimaryIn(GuestMode mode, RequestClasses implemented) => CriterionIn(mode) switch
    {
        PrimaryCriterion.All => RequestClasses.All,
        PrimaryCriterion.Importance => Primary ?? RequestClasses.Data,
        _ => Primary ?? implemented,
    };
}
