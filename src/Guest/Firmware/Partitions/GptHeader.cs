using System.Buffers.Binary;

namespace VmShunt.Guest.Firmware.Partitions;

/// <summary>The GPT header (UEFI 2.10 §5.3.2), primary or backup. The field names are those of the specification.</summary>
internal readonly record struct GptHeader(
    ulong MyLba, ulong AlternateLba, ulong FirstUsableLba, ulong LastUsableLba, Guid DiskGuid,
    ulong PartitionEntryLba, uint NumberOfPartitionEntries, uint SizeOfPartitionEntry, uint PartitionEntryArrayCrc32)
{
    internal const int SectorBytes = 512;
    private const ulong Signature = 0x5452_4150_2049_4645; // "EFI PART"
    private const uint Revision = 0x0001_0000;
    private const int HeaderBytes = 92, CrcOffset = 16;

    // The specification has no upper bounds. Partitioning tools write 128 entries of 128 bytes.
    private const uint MaxEntries = 1024, MaxEntryBytes = 1024;

    /// <summary>The size of the entry array in bytes.</summary>
    internal int ArrayBytes => (int)(NumberOfPartitionEntries * SizeOfPartitionEntry);

    private ulong ArraySectors => (ulong)(ArrayBytes + SectorBytes - 1) / SectorBytes;

    /// <summary>Writes the header and its CRC into a zeroed sector.</summary>
    internal void Format(Span<byte> sector)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(sector, Signature);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[8..], Revision);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[12..], HeaderBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(sector[24..], MyLba);
        BinaryPrimitives.WriteUInt64LittleEndian(sector[32..], AlternateLba);
        BinaryPrimitives.WriteUInt64LittleEndian(sector[40..], FirstUsableLba);
        BinaryPrimitives.WriteUInt64LittleEndian(sector[48..], LastUsableLba);
        DiskGuid.TryWriteBytes(sector[56..]);
        BinaryPrimitives.WriteUInt64LittleEndian(sector[72..], PartitionEntryLba);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[80..], NumberOfPartitionEntries);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[84..], SizeOfPartitionEntry);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[88..], PartitionEntryArrayCrc32);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[CrcOffset..], Crc32.Of(sector[..HeaderBytes]));
    }

    /// <summary>Parses and checks the sector that was read at <paramref name="lba"/>.</summary>
    /// <returns>Null if the header is valid, otherwise the error.</returns>
    internal static string? Parse(ReadOnlySpan<byte> sector, ulong lba, ulong diskSectors, out GptHeader header)
    {
        header = default;
        if (BinaryPrimitives.ReadUInt64LittleEndian(sector) != Signature) return "no GPT signature";
        var revision = BinaryPrimitives.ReadUInt32LittleEndian(sector[8..]);
        if (revision != Revision) return $"GPT revision {revision:X8} is not 00010000";
        var bytes = BinaryPrimitives.ReadUInt32LittleEndian(sector[12..]);
        if (bytes is < HeaderBytes or > SectorBytes) return $"the GPT header has {bytes} bytes";

        Span<byte> copy = stackalloc byte[SectorBytes];
        sector[..SectorBytes].CopyTo(copy);
        copy.Slice(CrcOffset, 4).Clear();
        if (Crc32.Of(copy[..(int)bytes]) != BinaryPrimitives.ReadUInt32LittleEndian(sector[CrcOffset..]))
            return "the GPT header's CRC is wrong";

        header = new GptHeader(
            BinaryPrimitives.ReadUInt64LittleEndian(sector[24..]),
            BinaryPrimitives.ReadUInt64LittleEndian(sector[32..]),
            BinaryPrimitives.ReadUInt64LittleEndian(sector[40..]),
            BinaryPrimitives.ReadUInt64LittleEndian(sector[48..]),
            new Guid(sector.Slice(56, 16)),
            BinaryPrimitives.ReadUInt64LittleEndian(sector[72..]),
            BinaryPrimitives.ReadUInt32LittleEndian(sector[80..]),
            BinaryPrimitives.ReadUInt32LittleEndian(sector[84..]),
            BinaryPrimitives.ReadUInt32LittleEndian(sector[88..]));
        return header.Validate(lba, diskSectors);
    }

    private string? Validate(ulong lba, ulong diskSectors)
    {
        if (MyLba != lba) return $"the GPT header at sector {lba} has MyLBA {MyLba}";
        if (NumberOfPartitionEntries is 0 or > MaxEntries) return $"the GPT has {NumberOfPartitionEntries} entries";
        if (SizeOfPartitionEntry is < GptEntry.Bytes or > MaxEntryBytes || (SizeOfPartitionEntry & (SizeOfPartitionEntry - 1)) != 0)
            return $"the GPT has entries of {SizeOfPartitionEntry} bytes";
        if (PartitionEntryLba < 2 || PartitionEntryLba >= diskSectors || ArraySectors > diskSectors - PartitionEntryLba)
            return $"the GPT entries at sector {PartitionEntryLba} are not on the disk";
        if (FirstUsableLba < 2 || FirstUsableLba > LastUsableLba || LastUsableLba >= diskSectors)
            return $"the GPT's usable sectors {FirstUsableLba}..{LastUsableLba} are not on the disk";
        if (PartitionEntryLba <= LastUsableLba && PartitionEntryLba + ArraySectors > FirstUsableLba)
            return "the GPT entries overlap the usable sectors";
        return null;
    }
}
