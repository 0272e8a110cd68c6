using System.Globalization;
using System.Text.Json.Serialization;

namespace VmShunt.Perf.Compare.Model;

/// <summary>The direction in which a figure improves.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<Better>))]
internal enum Better
{
    Higher,
    Lower,
}

/// <summary>Whether a target is a maximum or a minimum.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<Bound>))]
internal enum Bound
{
    AtMost,
    AtLeast,
}

/// <summary>The target of a figure.</summary>
/// <param name="Bound">Maximum or minimum.</param>
/// <param name="Value">The bound; a figure equal to it meets the target.</param>
/// <param name="Unit">× for a ratio, else the unit of the figure.</param>
internal sealed record Target(Bound Bound, double Value, string Unit = "×")
{
    internal static Target AtMost(double value, string unit = "×") => new(Bound.AtMost, value, unit);

    internal static Target AtLeast(double value, string unit = "×") => new(Bound.AtLeast, value, unit);

    internal bool IsMetBy(double value) => Bound == Bound.AtMost ? value <= Value : value >= Value;

    internal string Text => string.Create(CultureInfo.InvariantCulture, $"{(Bound == Bound.AtMost ? "≤" : "≥")} {Verdict.Number(Value)} {Unit}");
}

/// <summary>A line of the table: a figure and its target.</summary>
/// <param name="Id">The same in every run: <c>compare OLD NEW</c> matches verdicts by it.</param>
/// <param name="Work">What is measured.</param>
/// <param name="Against">What it is compared with.</param>
/// <param name="Target">The target; null for a figure without one.</param>
/// <param name="Value">The figure; null if it could not be measured, with the reason in <paramref name="Notes"/>.</param>
/// <param name="Notes">Inputs that differ and why, programs that are not installed, what bounds the figure.</param>
internal sealed record Verdict(string Id, string Work, string Against, Target? Target, Spread? Value, IReadOnlyList<string> Notes)
{
    /// <summary>The direction in which a figure without a target improves.</summary>
    public Better? Better { get; init; }

    /// <summary>Whether the median meets the target; null without a figure or a target.</summary>
    [JsonPropertyName("reached")]
    public bool? Met => Value is { } value && Target is { } target ? target.IsMetBy(value.Median) : null;

    /// <summary>The direction in which the figure improves; null in results of older versions that did not record it.</summary>
    [JsonIgnore]
    internal Better? Direction => Target is { } target ? target.Bound == Bound.AtLeast ? Model.Better.Higher : Model.Better.Lower : Better;

    [JsonIgnore]
    internal string Unit => Target?.Unit ?? "×";

    [JsonIgnore]
    internal string ValueText => Value is null ? "–" : $"{Number(Value.Median)} {Unit}";

    [JsonIgnore]
    internal string SpreadText => Value is null ? "" : $"{Number(Value.Lower)} … {Number(Value.Upper)}";

    /// <summary>Formats a figure with about three significant digits.</summary>
    internal static string Number(double value) => Math.Abs(value) switch
    {
        >= 100 => value.ToString("N0", CultureInfo.InvariantCulture),
        >= 10 => value.ToString("0.#", CultureInfo.InvariantCulture),
        _ => value.ToString("0.##", CultureInfo.InvariantCulture),
    };
}
