using System.Text.Json.Serialization;

namespace VmShunt.Perf.Launch.Model;

/// <summary>Where the time of one request is spent on one path.</summary>
/// <param name="Path">trap or ring.</param>
/// <param name="Microseconds">The whole request, measured on its own. Negative parts (noise) count as 0, so the parts may add up to more.</param>
/// <param name="Hops">In the order in which the request passes them.</param>
internal sealed record HopBreakdown([property: JsonPropertyName("road")] string Path, double Microseconds, IReadOnlyList<HopShare> Hops);

/// <param name="Name">What happens in this part.</param>
/// <param name="Microseconds">Its duration.</param>
/// <param name="Derived">How the figure follows from the measurements.</param>
internal sealed record HopShare(string Name, double Microseconds, string Derived);
