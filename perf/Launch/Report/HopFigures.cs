using System.Globalization;
using VmShunt.Perf.Launch.Model;
using VmShunt.Perf.Launch.Report.Charts;

namespace VmShunt.Perf.Launch.Report;

/// <summary>Where the time of one request is spent on each path: a stacked bar, and a list of its parts.</summary>
internal static class HopFigures
{
    /// <summary>One figure per path. A slower path's figure also shows the faster paths on the same scale.</summary>
    internal static string Draw(IReadOnlyList<HopBreakdown> paths) => string.Concat(paths.Select(path =>
    {
        var title = $"{path.Path}: {Number(path.Microseconds)} µs per request";
        Bar[] bars =
        [
            new(path.Path, [.. path.Hops.Select(static (hop, i) => new BarPart(Style(i), hop.Name, hop.Microseconds))], ""),
            .. paths.Where(other => other.Microseconds < path.Microseconds)
                .Select(static other => new Bar(other.Path, [new BarPart("p0", "whole request, same scale", other.Microseconds)], $"{Number(other.Microseconds)} µs, same scale")),
        ];
        var bar = BarChart.Draw($"{title}: {string.Join("; ", path.Hops.Select(static hop => $"{hop.Name} {Number(hop.Microseconds)} µs"))}", bars);
        return $"<figure><figcaption>{Svg.Escape(title)}</figcaption>{bar}<ul class=\"hops\">\n{List(path)}</ul></figure>\n";
    }));

    private static string List(HopBreakdown path)
    {
        var sum = path.Hops.Sum(static hop => hop.Microseconds);
        return string.Concat(path.Hops.Select((hop, i) =>
            $"<li><span class=\"key {Style(i)}\"></span><b>{Number(hop.Microseconds)} µs</b> {Svg.Escape(hop.Name)}, {(sum > 0 ? hop.Microseconds / sum * 100 : 0).ToString("0", CultureInfo.InvariantCulture)} % <span class=\"soft\">{Svg.Escape(hop.Derived)}</span></li>\n"));
    }

    private static string Style(int hop) => $"hop{hop % 6}";

    private static string Number(double microseconds) => microseconds switch
    {
        >= 100 => microseconds.ToString("N0", CultureInfo.InvariantCulture),
        >= 10 => microseconds.ToString("0.#", CultureInfo.InvariantCulture),
        _ => microseconds.ToString("0.##", CultureInfo.InvariantCulture),
    };
}
