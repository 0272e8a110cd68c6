using System.Text.Json;
using System.Text.Json.Serialization;

namespace VmShunt.Perf.Report;

/// <summary>Everything that a launch found out, as it is written with <c>--json</c>. The keys are a contract.</summary>
internal sealed record LaunchResult(
    DiskResult Disk, HashResult Hashes, TransitionResult Transition, IReadOnlyList<PathResult> Paths, CrashDumpResult CrashDump, MachineResult Machine)
{
    /// <summary>Where the time of one request goes on the trap and on the ring; for the report alone.</summary>
    [JsonIgnore]
    public IReadOnlyList<HopBreakdown> Hops { get; init; } = [];

    internal string ToJson() => JsonSerializer.Serialize(this, LaunchResultJson.Default.LaunchResult);
}

internal sealed record DiskResult(string Path, long Bytes, string Sha256);

/// <summary>The SHA-256 of the disk by each road, in lower-case hex.</summary>
internal sealed record HashResult(string Trap, string Shunted, string Ring);

internal sealed record TransitionResult(int InFlight, long Completed, long Failed, double MaxPauseMicroseconds);

/// <summary>All null when the disk has no place for a dump.</summary>
internal sealed record CrashDumpResult(string? Road, long? Bytes, string? Sha256, string? MemorySha256, bool? Verified);

internal sealed record MachineResult(string Cpu, int Cores, string Kernel, string Runtime);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(LaunchResult))]
internal sealed partial class LaunchResultJson : JsonSerializerContext;
