using System.Text.Json;
using System.Text.Json.Serialization;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Report;

namespace VmShunt.Perf.Compare.Model;

/// <summary>Everything that one run of <c>compare</c> found out, as it is written with <c>--json</c>.</summary>
/// <param name="Date">When it began, UTC.</param>
/// <param name="Command">How it was called.</param>
/// <param name="Commit">Which commit it measured; empty where git does not say.</param>
/// <param name="Seconds">How long it took.</param>
/// <param name="Machine">Where.</param>
/// <param name="Programs">The versions of the peers; "not installed" for one that is missing.</param>
/// <param name="Rows">The table.</param>
internal sealed record CompareResult(
    DateTime Date, string Command, string Commit, double Seconds, MachineResult Machine, IReadOnlyDictionary<string, string> Programs, IReadOnlyList<RowResult> Rows)
{
    internal string ToJson() => JsonSerializer.Serialize(this, CompareResultJson.Default.CompareResult);

    /// <exception cref="LaunchException">The file is not there, or not one of ours.</exception>
    internal static CompareResult Read(string path)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllText(path), CompareResultJson.Default.CompareResult) ?? throw new JsonException("it is empty");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new LaunchException($"{path} is no result of compare --json: {e.Message}", e);
        }
    }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(CompareResult))]
internal sealed partial class CompareResultJson : JsonSerializerContext;
