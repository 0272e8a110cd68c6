using System.Globalization;
using VmShunt.Perf.Report.Charts;

namespace VmShunt.Perf.Report;

/// <summary>Where a request's time goes on each road: a bar of its parts, and each part in words.</summary>
internal static class HopFigures
{
    /// <summary>A figure a road. Below a slow one stands a faster one on the same scale.</summary>
    internal static string Draw(IReadOnlyList<HopBreakdown> roads) => string.Concat(roads.Select(road =>
    {
        var title = $"{road.Road}: {Number(road.Microseconds)} µs a request";
        Bar[] bars =
        [
            new(road.Road, [.. road.Hops.Select(static (hop, i) => new BarPart(Style(i), hop.Name, hop.Microseconds))], ""),
            .. roads.Where(other => other.Microseconds < road.Microseconds)
                .Select(static other => new Bar(other.Road, [new BarPart("p0", "all of it, on the same scale", other.Microseconds)], $"{Number(other.Microseconds)} µs, on the same scale")),
        ];
        var bar = BarChart.Draw($"{title}: {string.Join("; ", road.Hops.Select(static hop => $"{hop.Name} {Number(hop.Microseconds)} µs"))}", bars);
        return $"<figure><figcaption>{Svg.Escape(title)}</figcaption>{bar}<ul class=\"hops\">\n{List(road)}</ul></figure>\n";
    }));

    private static string List(HopBreakdown road)
    {
        var sum = road.Hops.Sum(static hop => hop.Microseconds);
        return string.Concat(road.Hops.Select((hop, i) =>
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
