using System.Buffers.Binary;
using System.Text;

namespace VmShunt.Guest.Firmware.Partitions;

/// <summary>An entry of the GPT's array (UEFI 2.10 §5.3.3): 128 bytes, with the name in UTF-16.</summary>
internal static class GptEntry
{
    internal const int Bytes = 128;
    internal const int MaxNameLength = 36;
    private const int NameOffset = 56;

    /// <summary>Writes a partition into a zeroed entry.</summary>
    internal static void Format(GptPartition partition, Span<byte> entry)
    {
        partition.Type.TryWriteBytes(entry);
        partition.Id.TryWriteBytes(entry[16..]);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[32..], partition.FirstSector);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[40..], partition.LastSector);
        Encoding.Unicode.GetBytes(partition.Name, entry[NameOffset..]);
    }

    /// <summary>Reads an entry. <paramref name="partition"/> is null for an unused one.</summary>
    /// <returns>Null if the entry is valid, otherwise the error.</returns>
    internal static string? Parse(ReadOnlySpan<byte> entry, in GptHeader header, out GptPartition? partition)
    {
        partition = null;
        var type = new Guid(entry[..16]);
        if (type == Guid.Empty) return null;
        var first = BinaryPrimitives.ReadUInt64LittleEndian(entry[32..]);
        var last = BinaryPrimitives.ReadUInt64LittleEndian(entry[40..]);
        if (first > last || first < header.FirstUsableLba || last > header.LastUsableLba)
            return $"a partition of sectors {first}..{last} is outside the usable sectors {header.FirstUsableLba}..{header.LastUsableLba}";
        var name = Encoding.Unicode.GetString(entry[NameOffset..Bytes]);
        var end = name.IndexOf('\0', StringComparison.Ordinal);
        partition = new GptPartition(type, new Guid(entry.Slice(16, 16)), end < 0 ? name : name[..end], first, last - first + 1);
        return null;
    }
}
