using System.Diagnostics.CodeAnalysis;

namespace VmShunt.Guest.Firmware.Partitions;

/// <summary>
/// A GUID partition table as read from a disk (UEFI 2.10 §5.3). A table is used whole or not at all: one wrong checksum,
/// bound or overlap in the primary sends the reader to the backup in the disk's last sector.
/// </summary>
public sealed class Gpt
{
    private Gpt(Guid diskId, IReadOnlyList<GptPartition> partitions, bool isBackup)
    {
        DiskId = diskId;
        Partitions = partitions;
        IsBackup = isBackup;
    }

    /// <summary>The disk's own GUID.</summary>
    public Guid DiskId { get; }

    /// <summary>The partitions in the order of their entries. They lie on the disk and do not overlap.</summary>
    public IReadOnlyList<GptPartition> Partitions { get; }

    /// <summary>True when the primary table was damaged and this one is the backup.</summary>
    public bool IsBackup { get; }

    /// <summary>The first partition of a type, or null.</summary>
    public GptPartition? Find(Guid type)
    {
        foreach (GptPartition partition in Partitions)
            if (partition.Type == type) return partition;
        return null;
    }

    /// <summary>Reads the table of a disk. Errors of the disk itself pass through as they are.</summary>
    /// <param name="disk">Where to read; nothing that it returns is trusted.</param>
    /// <param name="table">The table, when there is one.</param>
    /// <param name="error">What is wrong with the primary and the backup, when there is none.</param>
    /// <returns>True when the disk has a sound table.</returns>
    public static bool TryRead(ISectorReader disk, [NotNullWhen(true)] out Gpt? table, [NotNullWhen(false)] out string? error)
    {
        ArgumentNullException.ThrowIfNull(disk);
        table = null;
        error = "the disk is too small for a partition table";
        if (disk.SectorCount < GptLayout.MinSectors) return false;

        // A disk that was given another partition scheme later keeps the old GPT's sectors; only the MBR tells.
        var sector = new byte[GptHeader.SectorBytes];
        disk.ReadSectors(0, sector);
        error = "the first sector is no protective MBR";
        if (!ProtectiveMbr.IsProtective(sector)) return false;

        table = Read(disk, 1, out var primaryError) ?? Read(disk, disk.SectorCount - 1, out error);
        if (table is null) error = $"primary: {primaryError}; backup: {error}";
        return table is not null;
    }

    private static Gpt? Read(ISectorReader disk, ulong lba, out string error)
    {
        var sector = new byte[GptHeader.SectorBytes];
        disk.ReadSectors(lba, sector);
        if (GptHeader.Parse(sector, lba, disk.SectorCount, out GptHeader header) is { } wrong) return Refuse(wrong, out error);

        var arrayBytes = header.ArrayBytes;
        var array = new byte[(arrayBytes + sector.Length - 1) / sector.Length * sector.Length];
        disk.ReadSectors(header.PartitionEntryLba, array);
        if (Crc32.Of(array.AsSpan(0, arrayBytes)) != header.PartitionEntryArrayCrc32) return Refuse("the GPT entries' CRC is wrong", out error);

        var partitions = new List<GptPartition>();
        for (var at = 0; at < arrayBytes; at += (int)header.SizeOfPartitionEntry)
        {
            if (GptEntry.Parse(array.AsSpan(at, GptEntry.Bytes), header, out GptPartition? partition) is { } bad) return Refuse(bad, out error);
            if (partition is not null) partitions.Add(partition);
        }
        if (GptLayout.FindOverlap(partitions) is { } overlap) return Refuse(overlap, out error);
        error = "";
        return new Gpt(header.DiskGuid, partitions, isBackup: lba != 1);
    }

    private static Gpt? Refuse(string why, out string error)
    {
        error = why;
        return null;
    }
}
