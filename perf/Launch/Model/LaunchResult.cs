using System.Text.Json;
using System.Text.Json.Serialization;

namespace VmShunt.Perf.Launch.Model;

/// <summary>The result of a launch, as <c>--json</c> writes it. The keys are a contract.</summary>
internal sealed record LaunchResult(
    DiskResult Disk, HashResult Hashes, TransitionResult Transition, IReadOnlyList<PathResult> Paths, CrashDumpResult CrashDump, MachineResult Machine)
{
    /// <summary>When the launch started, UTC.</summary>
    public DateTime Date { get; init; }

    /// <summary>The command line that repeats the launch.</summary>
    public string Command { get; init; } = "";

    /// <summary>The commit that was measured, with a + for uncommitted changes; empty outside a git repository.</summary>
    public string Commit { get; init; } = "";

    /// <summary>Whether other processes used so much CPU time during the measurements that ratios between paths mean nothing.</summary>
    public bool Disturbed { get; init; }

    /// <summary>CPU time that other processes used during the measurements, as a share of one core. For the report only.</summary>
    [JsonIgnore]
    public double ForeignCpu { get; init; }

    /// <summary>Where the time of one request is spent on the trap path and on the ring path. For the report only.</summary>
    [JsonIgnore]
    public IReadOnlyList<HopBreakdown> Hops { get; init; } = [];

    internal string ToJson() => JsonSerializer.Serialize(this, LaunchResultJson.Default.LaunchResult);
}

internal sealed record DiskResult(string Path, long Bytes, string Sha256);

/// <summary>The SHA-256 of the disk as each path reads it, in lower-case hex.</summary>
internal sealed record HashResult(string Trap, string Shunted, string Ring);

internal sealed record TransitionResult(int InFlight, long Completed, long Failed, double MaxPauseMicroseconds);

/// <summary>All null for a disk without a dump partition.</summary>
internal sealed record CrashDumpResult([property: JsonPropertyName("road")] string? Path, long? Bytes, string? Sha256, string? MemorySha256, bool? Verified);

internal sealed record MachineResult(string Cpu, int Cores, string Kernel, string Runtime);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(LaunchResult))]
internal sealed partial class LaunchResultJson : JsonSerializerContext;
