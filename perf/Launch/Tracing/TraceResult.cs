using System.Text.Json;
using System.Text.Json.Serialization;
using VmShunt.Perf.Launch.Model;

namespace VmShunt.Perf.Launch.Tracing;

/// <summary>The result of <c>trace</c>, as <c>--json</c> writes it. The keys are a contract.</summary>
internal sealed record TraceResult(DateTime Date, string Commit, string Command, MachineResult Machine, IReadOnlyList<PathTrace> Traces)
{
    internal string ToJson() => JsonSerializer.Serialize(this, TraceResultJson.Default.TraceResult);
}

/// <summary>One request on one path.</summary>
/// <param name="Path">trap, alternate, shunted or ring.</param>
/// <param name="Operation">read, write or flush.</param>
/// <param name="Sector">Its first sector of 512 bytes.</param>
/// <param name="Mode">The guest's mode.</param>
/// <param name="Stack">The stack that the application used: emulating or enlightened.</param>
/// <param name="Decision">What the shunt decided.</param>
/// <param name="Microseconds">From the application's call to its result.</param>
/// <param name="RegisterAccesses">Register accesses, each of them a VM exit.</param>
/// <param name="Hops">In order of time, in microseconds since the first.</param>
internal sealed record PathTrace(
    string Path, string Operation, long Sector, string Mode, string Stack, string Decision, double Microseconds, int RegisterAccesses, IReadOnlyList<TraceHop> Hops);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(TraceResult))]
internal sealed partial class TraceResultJson : JsonSerializerContext;
