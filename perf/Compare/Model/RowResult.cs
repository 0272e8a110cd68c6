using VmShunt.Perf.Launch.Model;

namespace VmShunt.Perf.Compare.Model;

/// <summary>One row of the table with its measurements.</summary>
/// <param name="Id">The same in every run.</param>
/// <param name="Title">Its title.</param>
/// <param name="Calibration">Measured in the row's rounds.</param>
/// <param name="Measurements">One per contestant.</param>
/// <param name="Verdicts">The figures of the table.</param>
internal sealed record RowResult(
    string Id, string Title, IReadOnlyList<Yardstick> Calibration, IReadOnlyList<Measurement> Measurements, IReadOnlyList<Verdict> Verdicts)
{
    /// <summary>CPU time that other processes used during the row, as a share of one core: the upper quartile of the rounds.</summary>
    public required double ForeignCpu { get; init; }

    /// <summary>Whether other processes used so much CPU time that the figures cannot be trusted.</summary>
    public bool Disturbed => ForeignCpu > Measure.ForeignCpu.Limit;

    /// <summary>Where the time of a request goes, for the row that breaks it down.</summary>
    public IReadOnlyList<HopBreakdown> Hops { get; init; } = [];
}
