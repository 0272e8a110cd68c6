using System.Globalization;
using System.Text.Json.Serialization;

namespace VmShunt.Perf.Compare.Model;

/// <summary>Which side of the target is good.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<Bound>))]
internal enum Bound
{
    AtMost,
    AtLeast,
}

/// <summary>What a figure must reach.</summary>
/// <param name="Bound">Which side is good.</param>
/// <param name="Value">The bound, included.</param>
/// <param name="Unit">× for a ratio, else the unit of the figure.</param>
internal sealed record Target(Bound Bound, double Value, string Unit = "×")
{
    internal static Target AtMost(double value, string unit = "×") => new(Bound.AtMost, value, unit);

    internal static Target AtLeast(double value, string unit = "×") => new(Bound.AtLeast, value, unit);

    internal bool IsReachedBy(double value) => Bound == Bound.AtMost ? value <= Value : value >= Value;

    internal string Text => string.Create(CultureInfo.InvariantCulture, $"{(Bound == Bound.AtMost ? "≤" : "≥")} {Verdict.Number(Value)} {Unit}");
}

/// <summary>A line of the table: what was asked, what came out.</summary>
/// <param name="Id">Stable over runs: <c>compare OLD NEW</c> finds it by this.</param>
/// <param name="Work">What is done.</param>
/// <param name="Against">What it is held against.</param>
/// <param name="Target">What it must reach; null for a figure that is only told.</param>
/// <param name="Value">What came out; null when it could not be measured, and <paramref name="Notes"/> says why.</param>
/// <param name="Notes">Differences that were allowed, what was not installed, what bounds it.</param>
internal sealed record Verdict(string Id, string Work, string Against, Target? Target, Spread? Value, IReadOnlyList<string> Notes)
{
    /// <summary>By the median; null where nothing was measured or nothing asked.</summary>
    public bool? Reached => Value is { } value && Target is { } target ? target.IsReachedBy(value.Median) : null;

    [JsonIgnore]
    internal string Unit => Target?.Unit ?? "×";

    [JsonIgnore]
    internal string ValueText => Value is null ? "–" : $"{Number(Value.Median)} {Unit}";

    [JsonIgnore]
    internal string SpreadText => Value is null ? "" : $"{Number(Value.Lower)} … {Number(Value.Upper)}";

    /// <summary>Three digits that matter.</summary>
    internal static string Number(double value) => Math.Abs(value) switch
    {
        >= 100 => value.ToString("N0", CultureInfo.InvariantCulture),
        >= 10 => value.ToString("0.#", CultureInfo.InvariantCulture),
        _ => value.ToString("0.##", CultureInfo.InvariantCulture),
    };
}
