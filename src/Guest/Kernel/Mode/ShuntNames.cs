using VmShunt.Guest.Shunt.Modes;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Guest.Mode;

/// <summary>The option values for mode source, position and policy.</summary>
internal static class ShuntNames
{
    internal static IReadOnlyList<(string Name, ModeSource Source)> Sources { get; } =
    [
        ("told", ModeSource.Told), ("arrives", ModeSource.Arrives), ("looks", ModeSource.Looks), ("tries", ModeSource.Tries), ("commanded", ModeSource.Commanded),
    ];

    internal static IReadOnlyList<(string Name, ShuntPosition Position)> Positions { get; } =
        [("above-class", ShuntPosition.AboveClass), ("below-class", ShuntPosition.BelowClass), ("below-port", ShuntPosition.BelowPort)];

    internal static IReadOnlyList<(string Name, PrimaryCriterion? Criterion)> Policies { get; } =
    [
        ("auto", null), ("all", PrimaryCriterion.All), ("importance", PrimaryCriterion.Importance), ("frequency", PrimaryCriterion.Frequency), ("effort", PrimaryCriterion.Effort),
    ];

    internal static string Of(ModeSource source) => Sources.First(s => s.Source == source).Name;

    internal static string Of(ShuntPosition position) => Positions.First(p => p.Position == position).Name;

    internal static string Of(PrimaryCriterion criterion) => Policies.First(p => p.Criterion == criterion).Name;
}
