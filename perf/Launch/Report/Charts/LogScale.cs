namespace VmShunt.Perf.Launch.Report.Charts;

/// <summary>A logarithmic axis whose ends are 1, 2 or 5 times a power of ten and enclose all values.</summary>
internal sealed class LogScale
{
    private const double LongInDecades = 1.7;
    private static readonly double[] s_steps = [1, 2, 5];

    private readonly double _from, _to, _low, _high;

    /// <param name="values">Values of 0 and below are drawn at the smallest positive one.</param>
    /// <param name="from">The coordinate where the axis starts.</param>
    /// <param name="to">The coordinate where it ends; may be less than <paramref name="from"/>.</param>
    internal LogScale(IEnumerable<double> values, double from, double to)
    {
        double[] positive = [.. values.Where(static value => value > 0)];
        double least = positive.Length == 0 ? 1 : positive.Min(), most = positive.Length == 0 ? 10 : positive.Max();
        _low = Steps(least).Last(step => step <= least);
        _high = Steps(most).First(step => step >= most);
        if (_high <= _low) _high = Steps(_low * 2).First(step => step > _low);
        _from = from;
        _to = to;
    }

    /// <summary>Powers of ten on a long axis, also 2 and 5 times them on a short one.</summary>
    internal IEnumerable<double> Ticks
    {
        get
        {
            var isLong = Math.Log10(_high / _low) > LongInDecades;
            for (var power = Math.Floor(Math.Log10(_low)); power <= Math.Ceiling(Math.Log10(_high)); power++)
            {
                foreach (var step in s_steps)
                {
                    var tick = step * Math.Pow(10, power);
                    if (tick >= _low * 0.999 && tick <= _high * 1.001 && (step == 1 || !isLong)) yield return tick;
                }
            }
        }
    }

    internal double At(double value) =>
        value <= 0 ? _from : _from + ((_to - _from) * Math.Clamp(Math.Log10(value / _low) / Math.Log10(_high / _low), 0, 1));

    internal static string Label(double value) => value switch
    {
        >= 1e6 => $"{value / 1e6:0.##}M",
        >= 1e3 => $"{value / 1e3:0.##}k",
        _ => $"{value:0.##}",
    };

    // From a decade below to a decade above, so that rounding does not hide the matching step.
    private static IEnumerable<double> Steps(double near)
    {
        var power = Math.Floor(Math.Log10(near));
        for (var around = power - 1; around <= power + 1; around++)
            foreach (var step in s_steps) yield return step * Math.Pow(10, around);
    }
}
