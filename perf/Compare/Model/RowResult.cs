using VmShunt.Perf.Report;

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
}
