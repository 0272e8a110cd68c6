using System.Text.Json.Serialization;

namespace VmShunt.Perf.Launch;

// The answers of the guest's console, one record per command. The names are the console's JSON keys.

internal sealed record GuestInfo(
    string Mode, string Boot, long MemoryBytes, GuestDisk Disk, IReadOnlyList<GuestPartitionInfo> Partitions, bool Bus, GuestDumpState? Dump);

internal sealed record GuestDisk(long Sectors, long Bytes, string Serial, bool ReadOnly);

internal sealed record GuestPartitionInfo(string Name, Guid Type, long FirstSector, long Sectors);

internal sealed record GuestDumpState(long Bytes, string Reason);

internal sealed record HashAnswer(string Sha256, long Bytes, double Seconds);

internal sealed record ModeAnswer(string Mode, double SwitchMicroseconds, int InFlight);

internal sealed record LoadAnswer(
    long Requests, long Completed, long Failed, long Lost, long Repeated, long Mismatched, int InFlightAtSwitch, double MaxPauseMicroseconds, long Cancelled);

internal sealed record BenchAnswer(
    long Requests, double Iops, double MegabytesPerSecond, double P50Microseconds, double P99Microseconds, double P999Microseconds,
    double MaxMicroseconds, double KicksPerRequest, double CallsPerRequest, double CopiesPerRequest, double AllocatedBytesPerRequest,
    double GuestCpuMicrosecondsPerRequest);

internal sealed record CrashAnswer(string Reason, int InFlight, CrashDumpAnswer Dump);

internal sealed record CrashDumpAnswer(long Bytes, [property: JsonPropertyName("road")] string Path);

internal sealed record DumpAnswer(long Bytes, string Sha256, string MemorySha256, bool Valid, string Reason);

internal sealed record TraceAnswer(
    string Operation, long Sector, string Mode, string Stack, string Decision, string Status, string? Error, double Microseconds, int RegisterAccesses,
    IReadOnlyList<TraceHop> Hops, string Text);

internal sealed record TraceHop(string Hop, double Microseconds);

internal sealed record PlainAnswer;

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(GuestInfo))]
[JsonSerializable(typeof(HashAnswer))]
[JsonSerializable(typeof(ModeAnswer))]
[JsonSerializable(typeof(LoadAnswer))]
[JsonSerializable(typeof(BenchAnswer))]
[JsonSerializable(typeof(CrashAnswer))]
[JsonSerializable(typeof(DumpAnswer))]
[JsonSerializable(typeof(TraceAnswer))]
[JsonSerializable(typeof(PlainAnswer))]
internal sealed partial class GuestAnswersJson : JsonSerializerContext;
