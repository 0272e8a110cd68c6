using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace VmShunt.Trap.VmExit;

/// <summary>What a connection to the hypervisor is for.</summary>
public enum HelloKind : uint
{
    /// <summary>Creates a partition and is its processor 0.</summary>
    NewPartition = 1,

    /// <summary>Is a further processor of a partition.</summary>
    FurtherProcessor = 2,

    /// <summary>Asks for statistics and never exits.</summary>
    Observer = 3,
}

/// <summary>Sixteen random bytes that only the creator of a partition gets: who shows them may add processors to it.</summary>
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
///     24    4 Processors   new partition: how many, 1 to 64
///     28    4 PartitionId  further processor: of which partition
///     32    4 Index        further processor: which
///     36    4 ProcessId    the guest's own, for the statistics only
///     40   16 Key          further processor: the partition's key
/// </code>
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
public struct Hello
{
    /// <summary>"VMSHUNTX" in little-endian order.</summary>
    public const ulong ExpectedMagic = 0x58544E5548534D56;

    /// <summary>The version of the contract.</summary>
    public const uint ExpectedVersion = 1;

    /// <summary><see cref="ExpectedMagic"/>.</summary>
    public ulong Magic;

    /// <summary><see cref="ExpectedVersion"/>.</summary>
    public uint Version;

    /// <summary>What the connection is for.</summary>
    public HelloKind Kind;

    /// <summary>The RAM of a new partition in bytes.</summary>
    public ulong MemoryBytes;

    /// <summary>How many processors a new partition has.</summary>
    public uint Processors;

    /// <summary>The partition of a further processor.</summary>
    public uint PartitionId;

    /// <summary>The index of a further processor.</summary>
    public uint Index;

    /// <summary>The sender's process, as it says itself: shown to people, trusted for nothing.</summary>
    public uint ProcessId;

    /// <summary>The key of a further processor's partition.</summary>
    public PartitionKey Key;

    /// <summary>A hello of this version.</summary>
    public static Hello Of(HelloKind kind) =>
        new() { Magic = ExpectedMagic, Version = ExpectedVersion, Kind = kind, ProcessId = (uint)Environment.ProcessId };
}

/// <summary>
/// The hypervisor's answer to a <see cref="Hello"/>: 96 bytes, little-endian, followed by <see cref="TextLength"/>
/// bytes of UTF-8 text when it refuses. With the welcome of a new partition travel three files: its RAM, its crash reserve,
/// and its dump memory, which is empty and can only be read.
/// </summary>
/// <remarks>
/// <code>
/// offset size field
///      0    8 Magic                as in Hello
///      8    4 Version              1
///     12    4 Refused              0 welcome, 1 refused: the text says why
///     16    4 PartitionId
///     20    4 DeviceCount          emulated devices
///     24   16 Key                  shown by further processors
///     40    8 RamBytes
///     48    8 LowBytes             RAM from address 0
///     56    8 HighAddress          where the rest starts
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

    /// <summary>0 welcome; 1 refused, and the text says why.</summary>
    public uint Refused;

    /// <summary>The number of the partition.</summary>
    public uint PartitionId;

    /// <summary>How many emulated devices it has.</summary>
    public uint DeviceCount;

    /// <summary>What further processors must show.</summary>
    public PartitionKey Key;

    /// <summary>The partition's RAM in bytes, without the crash reserve.</summary>
    public ulong RamBytes;

    /// <summary>How much of it lies from address 0 on.</summary>
    public ulong LowBytes;

    /// <summary>Where the rest of it starts.</summary>
    public ulong HighAddress;

    /// <summary>Where the crash reserve lies.</summary>
    public ulong CrashReserveAddress;

    /// <summary>The size of the crash reserve in bytes.</summary>
    public ulong CrashReserveBytes;

    /// <summary>Where the PCI configuration space lies.</summary>
    public ulong EcamAddress;

    /// <summary>How many bytes of text follow.</summary>
    public uint TextLength;

    /// <summary>How many descriptors travel with the frame.</summary>
    public uint DescriptorCount;
}
