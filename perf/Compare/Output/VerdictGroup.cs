using VmShunt.Perf.Compare.Model;

namespace VmShunt.Perf.Compare.Output;

/// <summary>The verdicts whose figures improve in the same direction, so that no table mixes directions.</summary>
/// <param name="Title">Says the direction.</param>
/// <param name="Verdicts">In the order of the rows.</param>
internal sealed record VerdictGroup(string Title, IReadOnlyList<(RowResult Row, Verdict Verdict)> Verdicts)
{
    internal const string Higher = "Higher is better", Lower = "Lower is better";

    private const string Unknown = "Without a target (recorded by an older version)";

    /// <summary>The groups that have verdicts.</summary>
    internal static IEnumerable<VerdictGroup> Of(CompareResult result)
    {
        var all = result.Rows.SelectMany(static row => row.Verdicts.Select(verdict => (row, verdict))).ToArray();
        return new (string Title, Better? Better)[] { (Higher, Better.Higher), (Lower, Better.Lower), (Unknown, null) }
            .Select(group => new VerdictGroup(group.Title, [.. all.Where(one => one.verdict.Direction == group.Better)]))
            .Where(static group => group.Verdicts.Count > 0);
    }
}
