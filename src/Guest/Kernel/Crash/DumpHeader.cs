using System.Buffers.Binary;
using System.Text;

namespace VmShunt.Guest.Crash;

/// <summary>
/// The first sector of a dump partition: state, length and checksum of the dump that follows. Little-endian: magic,
/// version, state (0..15), core bytes (16..23), CRC-32C of the core (24..27), requests in flight at the crash (28..31),
/// reason as UTF-8 with its length before it (32..), CRC-32C of all before it (508..511). It is written last, so an
/// incomplete dump has no header.
/// </summary>
/// <param name="State">Whether the dump is new or saved.</param>
/// <param name="CoreBytes">The length of the ELF core, which starts at <see cref="CoreSector"/> of the partition.</param>
/// <param name="CoreCrc">Its CRC-32C.</param>
/// <param name="InFlight">Requests in flight at the crash.</param>
/// <param name="Reason">The reason of the crash.</param>
internal readonly record struct DumpHeader(DumpState State, long CoreBytes, uint CoreCrc, int InFlight, string Reason)
{
    /// <summary>The size of the header.</summary>
    internal const int Bytes = 512;

    /// <summary>The sector of the partition where the core starts; page aligned.</summary>
    internal const ulong CoreSector = 8;

    private const ulong Magic = 0x504D_5544_4853_4D56; // "VMSHDUMP"
    private const uint Version = 1;
    private const int MaxReasonBytes = 400;

    /// <summary>Writes the header into a sector. Allocates nothing.</summary>
    internal void Format(Span<byte> sector)
    {
        sector[..Bytes].Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(sector, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[8..], Version);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[12..], (uint)State);
        BinaryPrimitives.WriteInt64LittleEndian(sector[16..], CoreBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[24..], CoreCrc);
        BinaryPrimitives.WriteInt32LittleEndian(sector[28..], InFlight);
        Encoding.UTF8.TryGetBytes(Reason, sector.Slice(34, MaxReasonBytes), out var length);
        BinaryPrimitives.WriteUInt16LittleEndian(sector[32..], (ushort)length);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[508..], Crc32C.Of(sector[..508]));
    }

    /// <summary>Whether a sector is the header of a dump that was not exported. Allocates nothing.</summary>
    internal static bool IsUnsaved(ReadOnlySpan<byte> sector) => IsHeader(sector) && BinaryPrimitives.ReadUInt32LittleEndian(sector[12..]) == (uint)DumpState.New;

    /// <summary>Parses a sector of a disk, whose content is untrusted.</summary>
    /// <returns>False: the sector is not a valid header.</returns>
    internal static bool TryParse(ReadOnlySpan<byte> sector, ulong partitionSectors, out DumpHeader header)
    {
        header = default;
        if (!IsHeader(sector)) return false;
        var bytes = BinaryPrimitives.ReadInt64LittleEndian(sector[16..]);
        var reason = BinaryPrimitives.ReadUInt16LittleEndian(sector[32..]);
        var state = (DumpState)BinaryPrimitives.ReadUInt32LittleEndian(sector[12..]);
        if (bytes <= 0 || (ulong)bytes > (partitionSectors - CoreSector) * 512 || reason > MaxReasonBytes || !Enum.IsDefined(state)) return false;
        header = new DumpHeader(
            state,
            bytes,
            BinaryPrimitives.ReadUInt32LittleEndian(sector[24..]),
            BinaryPrimitives.ReadInt32LittleEndian(sector[28..]),
            Encoding.UTF8.GetString(sector.Slice(34, reason)));
        return true;
    }

    private static bool IsHeader(ReadOnlySpan<byte> sector) =>
        BinaryPrimitives.ReadUInt64LittleEndian(sector) == Magic
        && BinaryPrimitives.ReadUInt32LittleEndian(sector[8..]) == Version
        && BinaryPrimitives.ReadUInt32LittleEndian(sector[508..]) == Crc32C.Of(sector[..508]);
}

/// <summary>The state of a dump.</summary>
internal enum DumpState : uint
{
    /// <summary>A dump that was not exported yet.</summary>
    New = 1,

    /// <summary>A dump that was exported.</summary>
    Saved = 2,
}
