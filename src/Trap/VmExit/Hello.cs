using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace VmShunt.Trap.VmExit;

/// <summary>The purpose of a connection to the hypervisor.</summary>
public enum HelloKind : uint
{
    /// <summary>Creates a partition; the connection is its processor 0.</summary>
    NewPartition = 1,

    /// <summary>A further processor of a partition.</summary>
    FurtherProcessor = 2,

    /// <summary>Queries statistics; runs no processor.</summary>
    Observer = 3,
}

/// <summary>Sixteen random bytes that only the creator of a partition gets. A further processor must present them.</summary>
[InlineArray(16)]
public struct PartitionKey
{
    private byte _first;
}

/// <summary>The first frame on a connection to the hypervisor. 56 bytes, little-endian.</summary>
/// <remarks>
/// <code>
/// offset size field
///      0    8 Magic        "VMSHUNTX"
///      8    4 Version      1
///     12    4 Kind         HelloKind
///     16    8 MemoryBytes  new partition: its RAM
///     24    4 Processors   new partition: their number, 1 to 64
///     28    4 PartitionId  further processor: its partition
///     32    4 Index        further processor: its index
///     36    4 ProcessId    the guest's process, for the statistics only
///     40   16 Key          further processor: the partition's key
/// </code>
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
public struct Hello
{
    /// <summary>"VMSHUNTX" in little-endian order.</summary>
    public const ulong ExpectedMagic = 0x58544E5548534D56;

    /// <summary>The version of the protocol.</summary>
    public const uint ExpectedVersion = 1;

    /// <summary><see cref="ExpectedMagic"/>.</summary>
    public ulong Magic;

    /// <summary><see cref="ExpectedVersion"/>.</summary>
    public uint Version;

    /// <summary>The purpose of the connection.</summary>
    public HelloKind Kind;

    /// <summary>The RAM of a new partition in bytes.</summary>
    public ulong MemoryBytes;

    /// <summary>The number of processors of a new partition.</summary>
    public uint Processors;

    /// <summary>The partition of a further processor.</summary>
    public uint PartitionId;

    /// <summary>The index of a further processor.</summary>
    public uint Index;

    /// <summary>The sender's process id as it reports it: informational, not trusted.</summary>
    public uint ProcessId;

    /// <summary>The key of a further processor's partition.</summary>
    public PartitionKey Key;

    /// <summary>Creates a hello of this version.</summary>
    public static Hello Of(HelloKind kind) =>
        new() { Magic = ExpectedMagic, Version = ExpectedVersion, Kind = kind, ProcessId = (uint)Environment.ProcessId };
}

/// <summary>
/// The hypervisor's answer to a <see cref="Hello"/>: 96 bytes, little-endian, followed by <see cref="TextLength"/>
/// bytes of UTF-8 text when it refuses. The welcome of a new partition carries three descriptors: its RAM, its crash reserve
/// and its dump memory, which is empty and read-only.
/// </summary>
/// <remarks>
/// <code>
/// offset size field
///      0    8 Magic                as in Hello
///      8    4 Version              1
///     12    4 Refused              0 accepted, 1 refused: the text says why
///     16    4 PartitionId
///     20    4 DeviceCount          emulated devices
///     24   16 Key                  presented by further processors
///     40    8 RamBytes
///     48    8 LowBytes             RAM from address 0
///     56    8 HighAddress          where the remaining RAM starts
///     64    8 CrashReserveAddress
///     72    8 CrashReserveBytes
///     80    8 EcamAddress
///     88    4 TextLength           at most 1024
///     92    4 DescriptorCount      3 for a new partition, else 0
/// </code>
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
public struct Welcome
{
    /// <summary><see cref="Hello.ExpectedMagic"/>.</summary>
    public ulong Magic;

    /// <summary><see cref="Hello.ExpectedVersion"/>.</summary>
    public uint Version;

    /// <summary>0 accepted; 1 refused, and the text says why.</summary>
    public uint Refused;

    /// <summary>The number of the partition.</summary>
    public uint PartitionId;

    /// <summary>Its number of emulated devices.</summary>
    public uint DeviceCount;

    /// <summary>The key that further processors present.</summary>
    public PartitionKey Key;

    /// <summary>The partition's RAM in bytes, without the crash reserve.</summary>
    public ulong RamBytes;

    /// <summary>How much of the RAM starts at address 0.</summary>
    public ulong LowBytes;

    /// <summary>Where the remaining RAM starts.</summary>
    public ulong HighAddress;

    /// <summary>The address of the crash reserve.</summary>
    public ulong CrashReserveAddress;

    /// <summary>The size of the crash reserve in bytes.</summary>
    public ulong CrashReserveBytes;

    /// <summary>The address of the PCI configuration space.</summary>
    public ulong EcamAddress;

    /// <summary>The number of bytes of text that follow.</summary>
    public uint TextLength;

    /// <summary>The number of descriptors sent with the frame.</summary>
    public uint DescriptorCount;
}
