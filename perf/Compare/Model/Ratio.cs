namespace VmShunt.Perf.Compare.Model;

/// <summary>
/// The only way to compare two measurements: a ratio per interleaved round. Refuses measurements whose inputs differ.
/// </summary>
internal static class Ratio
{
    /// <summary>Ours as a multiple of theirs.</summary>
    /// <param name="ours">The numerator.</param>
    /// <param name="theirs">The denominator.</param>
    /// <param name="figure">The figure that is compared, such as the rate.</param>
    /// <param name="allowed">Inputs that may differ.</param>
    /// <exception cref="InputsDifferException">Their inputs differ.</exception>
    internal static Spread Of(Measurement ours, Measurement theirs, Func<Sample, double> figure, params IReadOnlyList<Allowance> allowed)
    {
        ours.Inputs.RequireSame(ours.Subject, theirs.Subject, theirs.Inputs, allowed);
        return Spread.Of(Paired(ours.Subject, [.. ours.Rounds.Select(figure)], theirs.Subject, [.. theirs.Rounds.Select(figure)]));
    }

    /// <summary>The time per request as a multiple of the sum of the yardsticks.</summary>
    /// <exception cref="InputsDifferException">A yardstick was measured with another block size.</exception>
    internal static Spread Of(Measurement ours, params IReadOnlyList<Yardstick> yardsticks)
    {
        foreach (var yardstick in yardsticks)
        {
            if (yardstick.BlockBytes is { } bytes && bytes != ours.Inputs.BlockBytes)
                throw new InputsDifferException($"{ours.Subject} and {yardstick.Name} are not compared, their inputs differ: BlockBytes: {ours.Inputs.BlockBytes} and {bytes}");
        }
        double[] below = [.. Enumerable.Range(0, yardsticks[0].Rounds.Count).Select(round => yardsticks.Sum(one => one.Rounds[round]))];
        return Spread.Of(Paired(ours.Subject, [.. ours.Rounds.Select(static sample => sample.Nanoseconds)], string.Join(" + ", yardsticks.Select(static one => one.Name)), below));
    }

    /// <summary>One yardstick as a multiple of another.</summary>
    internal static Spread Of(Yardstick ours, Yardstick theirs) => Spread.Of(Paired(ours.Name, ours.Rounds, theirs.Name, theirs.Rounds));

    private static IEnumerable<double> Paired(string above, IReadOnlyList<double> upper, string below, IReadOnlyList<double> lower)
    {
        if (upper.Count != lower.Count)
            throw new InputsDifferException($"{above} and {below} are not compared: {upper.Count} rounds and {lower.Count}");
        return upper.Zip(lower, static (a, b) => a / b);
    }
}
