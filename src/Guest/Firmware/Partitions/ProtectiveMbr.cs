using System.Buffers.Binary;

namespace VmShunt.Guest.Firmware.Partitions;

/// <summary>The protective MBR of a GPT disk, for tools that know no GPT (UEFI 2.10 §5.2.3).</summary>
internal static class ProtectiveMbr
{
    private const int FirstRecord = 446, RecordBytes = 16, Records = 4;
    private const byte GptProtective = 0xEE;
    private const ushort Signature = 0xAA55;

    internal static void Format(Span<byte> sector, ulong diskSectors)
    {
        Span<byte> record = sector.Slice(FirstRecord, RecordBytes);
        record[2] = 2; // starts at cylinder 0, head 0, sector 2
        record[4] = GptProtective;
        record.Slice(5, 3).Fill(0xFF);
        BinaryPrimitives.WriteUInt32LittleEndian(record[8..], 1);
        BinaryPrimitives.WriteUInt32LittleEndian(record[12..], (uint)Math.Min(diskSectors - 1, uint.MaxValue));
        BinaryPrimitives.WriteUInt16LittleEndian(sector[510..], Signature);
    }

    /// <summary>Whether a record of the MBR has the type of a GPT; a hybrid MBR, as on bootable ISO images, counts too.</summary>
    internal static bool IsProtective(ReadOnlySpan<byte> sector)
    {
        if (BinaryPrimitives.ReadUInt16LittleEndian(sector[510..]) != Signature) return false;
        for (var i = 0; i < Records; i++)
            if (sector[FirstRecord + (i * RecordBytes) + 4] == GptProtective) return true;
        return false;
    }
}
