using System.Text.Json;
using System.Text.Json.Serialization;

namespace VmShunt.Trap.VmExit;

/// <summary>What a hypervisor tells about its partitions, living and lately ended ones.</summary>
public sealed record HypervisorStatistics(IReadOnlyList<PartitionStatistics> Partitions)
{
    /// <summary>Writes it as UTF-8 JSON.</summary>
    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, StatisticsJson.Default.HypervisorStatistics);

    /// <summary>Reads what <see cref="ToJson"/> wrote.</summary>
    /// <exception cref="JsonException">It is something else.</exception>
    public static HypervisorStatistics FromJson(ReadOnlySpan<byte> json) =>
        JsonSerializer.Deserialize(json, StatisticsJson.Default.HypervisorStatistics) ?? throw new JsonException("no statistics");
}

/// <summary>One partition.</summary>
/// <param name="Id">Its number.</param>
/// <param name="ProcessId">The guest's process, as it said itself.</param>
/// <param name="MemoryBytes">Its RAM.</param>
/// <param name="Processors">How many virtual processors it has.</param>
/// <param name="Alive">Whether its guest is still connected.</param>
/// <param name="Exits">Its exits by reason.</param>
/// <param name="ByAddress">Its exits by address (for hypercalls: by code), most frequent first.</param>
/// <param name="UnlistedAddresses">Exits at addresses that no longer fitted into the list.</param>
/// <param name="Unclaimed">Accesses that no device claimed.</param>
/// <param name="Channels">Its bus channels.</param>
/// <param name="Crash">What happened when it crashed, or null.</param>
public sealed record PartitionStatistics(
    int Id,
    int ProcessId,
    ulong MemoryBytes,
    int Processors,
    bool Alive,
    ExitCounts Exits,
    IReadOnlyList<AddressCount> ByAddress,
    long UnlistedAddresses,
    long Unclaimed,
    IReadOnlyList<ChannelStatistics> Channels,
    CrashStatistics? Crash);

/// <summary>Exits by reason.</summary>
public sealed record ExitCounts(long MmioRead, long MmioWrite, long Hypercall, long Halt, long Total);

/// <summary>Exits for one reason at one guest-physical address; for hypercalls the address is the code.</summary>
public sealed record AddressCount(ExitReason Reason, ulong Address, long Count);

/// <summary>A bus channel of the disk behind emulated device <paramref name="Device"/>.</summary>
/// <param name="Device">The index of the device.</param>
/// <param name="Open">Whether the guest holds it now.</param>
public sealed record ChannelStatistics(int Device, bool Open);

/// <summary>What the hypervisor did when a guest said that it had crashed.</summary>
/// <param name="Reason">The guest's own number for it.</param>
/// <param name="MemorySha256">The hash of the RAM in order of addresses, without the crash reserve, in lower-case hex.</param>
/// <param name="MemoryBytes">How many bytes were hashed.</param>
/// <param name="ChannelsRevoked">How many bus channels were open and are closed now.</param>
/// <param name="Events">Each step, in order.</param>
public sealed record CrashStatistics(ulong Reason, string MemorySha256, ulong MemoryBytes, int ChannelsRevoked, IReadOnlyList<CrashEvent> Events);

/// <summary>One step of a crash.</summary>
/// <param name="Sequence">Counts from 1.</param>
/// <param name="What">What was done.</param>
/// <param name="MonotonicNanoseconds">When it was done, on the clock that all processes of the machine share.</param>
public sealed record CrashEvent(int Sequence, string What, long MonotonicNanoseconds);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    Converters = [typeof(ExitReasonName)],
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(HypervisorStatistics))]
internal sealed partial class StatisticsJson : JsonSerializerContext;

internal sealed class ExitReasonName() : JsonStringEnumConverter<ExitReason>(JsonNamingPolicy.CamelCase);
