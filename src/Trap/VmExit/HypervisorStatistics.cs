using System.Text.Json;
using System.Text.Json.Serialization;

namespace VmShunt.Trap.VmExit;

/// <summary>The hypervisor's statistics of its partitions: the running ones and the last that stopped.</summary>
public sealed record HypervisorStatistics(IReadOnlyList<PartitionStatistics> Partitions)
{
    /// <summary>Serializes to UTF-8 JSON.</summary>
    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, StatisticsJson.Default.HypervisorStatistics);

    /// <summary>Deserializes the result of <see cref="ToJson"/>.</summary>
    /// <exception cref="JsonException">The JSON is invalid.</exception>
    public static HypervisorStatistics FromJson(ReadOnlySpan<byte> json) =>
        JsonSerializer.Deserialize(json, StatisticsJson.Default.HypervisorStatistics) ?? throw new JsonException("no statistics");
}

/// <summary>One partition.</summary>
/// <param name="Id">Its number.</param>
/// <param name="ProcessId">The guest's process id, as it reported it.</param>
/// <param name="MemoryBytes">Its RAM.</param>
/// <param name="Processors">Its number of virtual processors.</param>
/// <param name="Alive">Whether its guest is still connected.</param>
/// <param name="Exits">Its exits by reason.</param>
/// <param name="ByAddress">Its exits by address (for hypercalls: by code), most frequent first.</param>
/// <param name="UnlistedAddresses">Exits at addresses beyond the capacity of the list.</param>
/// <param name="Unclaimed">Accesses to addresses without a device.</param>
/// <param name="RegisterBytes">The bytes exchanged with VM-H's register sockets, both ways, set-up included.</param>
/// <param name="Channels">Its bus channels.</param>
/// <param name="Crash">The crash, or null.</param>
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
    long RegisterBytes,
    IReadOnlyList<ChannelStatistics> Channels,
    CrashStatistics? Crash);

/// <summary>Exits by reason.</summary>
public sealed record ExitCounts(long MmioRead, long MmioWrite, long Hypercall, long Halt, long Total);

/// <summary>Exits for one reason at one guest-physical address; for hypercalls the address is the code.</summary>
public sealed record AddressCount(ExitReason Reason, ulong Address, long Count);

/// <summary>A bus channel of the disk behind emulated device <paramref name="Device"/>.</summary>
/// <param name="Device">The index of the device.</param>
/// <param name="Open">Whether it is open.</param>
public sealed record ChannelStatistics(int Device, bool Open);

/// <summary>What the hypervisor did when a guest reported a crash.</summary>
/// <param name="Reason">The guest's reason code.</param>
/// <param name="MemorySha256">The hash of the RAM in order of addresses, without the crash reserve, in lower-case hex.</param>
/// <param name="MemoryBytes">The number of bytes hashed.</param>
/// <param name="ChannelsRevoked">The number of bus channels that were revoked.</param>
/// <param name="Events">Each step, in order.</param>
public sealed record CrashStatistics(ulong Reason, string MemorySha256, ulong MemoryBytes, int ChannelsRevoked, IReadOnlyList<CrashEvent> Events);

/// <summary>One step of a crash.</summary>
/// <param name="Sequence">Its number, from 1.</param>
/// <param name="What">What was done.</param>
/// <param name="MonotonicNanoseconds">The time of its completion, on CLOCK_MONOTONIC, which all processes share.</param>
public sealed record CrashEvent(int Sequence, string What, long MonotonicNanoseconds);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    Converters = [typeof(ExitReasonName)],
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(HypervisorStatistics))]
internal sealed partial class StatisticsJson : JsonSerializerContext;

internal sealed class ExitReasonName() : JsonStringEnumConverter<ExitReason>(JsonNamingPolicy.CamelCase);
