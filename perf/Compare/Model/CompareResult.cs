using System.Text.Json;
using System.Text.Json.Serialization;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Launch.Model;

namespace VmShunt.Perf.Compare.Model;

/// <summary>The result of one run of <c>compare</c>, as <c>--json</c> writes it.</summary>
/// <param name="Date">When the run started, UTC.</param>
/// <param name="Command">The command line that repeats the run.</param>
/// <param name="Commit">The commit that was measured; empty outside a git repository.</param>
/// <param name="Seconds">The duration of the run.</param>
/// <param name="Machine">The machine that ran it.</param>
/// <param name="Programs">The versions of the peer programs, or "not installed".</param>
/// <param name="Rows">The rows of the table.</param>
internal sealed record CompareResult(
    DateTime Date, string Command, string Commit, double Seconds, MachineResult Machine, IReadOnlyDictionary<string, string> Programs, IReadOnlyList<RowResult> Rows)
{
    /// <summary>Whether other processes used so much CPU time during a row that its figures cannot be trusted.</summary>
    public bool Disturbed => Rows.Any(static row => row.Disturbed);

    internal string ToJson() => JsonSerializer.Serialize(this, CompareResultJson.Default.CompareResult);

    /// <exception cref="LaunchException">The file cannot be read, or is not a result of compare.</exception>
    internal static CompareResult Read(string path)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllText(path), CompareResultJson.Default.CompareResult) ?? throw new JsonException("the file is empty");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new LaunchException($"{path} is not a result of compare --json: {e.Message}", e);
        }
    }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(CompareResult))]
internal sealed partial class CompareResultJson : JsonSerializerContext;
