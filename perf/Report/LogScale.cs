namespace VmShunt.Perf.Report;

/// <summary>A logarithmic axis over whole powers of ten that hold all values.</summary>
internal sealed class LogScale
{
    private readonly double _from, _to;
    private readonly int _low, _high;

    /// <param name="values">Values of 0 and below count as the smallest positive one.</param>
    /// <param name="from">Where the axis starts in the picture.</param>
    /// <param name="to">Where it ends; may be before <paramref name="from"/>.</param>
    internal LogScale(IEnumerable<double> values, double from, double to)
    {
        double[] positive = [.. values.Where(static value => value > 0)];
        _low = positive.Length == 0 ? 0 : (int)Math.Floor(Math.Log10(positive.Min()));
        _high = positive.Length == 0 ? 1 : Math.Max(_low + 1, (int)Math.Ceiling(Math.Log10(positive.Max())));
        _from = from;
        _to = to;
    }

    internal IEnumerable<double> Ticks => Enumerable.Range(_low, _high - _low + 1).Select(static power => Math.Pow(10, power));

    internal double At(double value) =>
        value <= 0 ? _from : _from + ((_to - _from) * Math.Clamp((Math.Log10(value) - _low) / (_high - _low), 0, 1));

    internal static string Label(double value) => value switch
    {
        >= 1e6 => $"{value / 1e6:0.##}M",
        >= 1e3 => $"{value / 1e3:0.##}k",
        _ => $"{value:0.##}",
    };
}
