using System.Text.Json.Serialization;

namespace VmShunt.Perf.Compare.Model;

/// <summary>One row of the table with everything that was measured for it.</summary>
/// <param name="Id">Stable over runs.</param>
/// <param name="Title">For people.</param>
/// <param name="Calibration">Taken in the row's own rounds.</param>
/// <param name="Measurements">Of every contestant.</param>
/// <param name="Verdicts">What follows.</param>
internal sealed record RowResult(
    string Id, string Title, IReadOnlyList<Yardstick> Calibration, IReadOnlyList<Measurement> Measurements, IReadOnlyList<Verdict> Verdicts)
{
    /// <summary>CPU time that others took while the row was measured, a share of one core: three quarters of the rounds saw no more.</summary>
    public required double ForeignCpu { get; init; }

    /// <summary>Whether others disturbed it so much that its figures should not be trusted.</summary>
    public bool Disturbed => ForeignCpu > Sitting.ForeignCpu.Limit;

    /// <summary>Where a request's time goes, for rows that take it apart.</summary>
    public IReadOnlyList<HopBreakdown> Hops { get; init; } = [];

    [JsonIgnore]
    internal IEnumerable<string> DisturbanceNote => Disturbed ? [$"disturbed: others took up to {ForeignCpu:P0} of a core"] : [];
}

/// <summary>One road's request taken apart.</summary>
/// <param name="Road">trap or ring.</param>
/// <param name="Microseconds">The whole, measured by itself. Parts that are less than nothing for noise count as none, so they may add up to more.</param>
/// <param name="Hops">In the order of the request's way.</param>
internal sealed record HopBreakdown(string Road, double Microseconds, IReadOnlyList<Hop> Hops);

/// <param name="Name">Where the time goes.</param>
/// <param name="Microseconds">How much.</param>
/// <param name="Derived">Which measurements it follows from.</param>
internal sealed record Hop(string Name, double Microseconds, string Derived);
