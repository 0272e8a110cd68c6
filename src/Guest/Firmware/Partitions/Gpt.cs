using System.Diagnostics.CodeAnalysis;

namespace VmShunt.Guest.Firmware.Partitions;

/// <summary>
/// A GUID partition table, read from a disk (UEFI 2.10 §5.3). A table is valid as a whole or not at all: any wrong checksum,
/// bound or overlap in the primary makes the reader use the backup at the end of the disk.
/// </summary>
public sealed class Gpt
{
    private Gpt(Guid diskId, IReadOnlyList<GptPartition> partitions, bool isBackup)
    {
        DiskId = diskId;
        Partitions = partitions;
        IsBackup = isBackup;
    }

    /// <summary>The disk's GUID.</summary>
    public Guid DiskId { get; }

    /// <summary>The partitions in the order of their entries. All are inside the disk, and none overlap.</summary>
    public IReadOnlyList<GptPartition> Partitions { get; }

    /// <summary>Whether the primary table is damaged and this is the backup.</summary>
    public bool IsBackup { get; }

    /// <summary>The first partition of a type, or null.</summary>
    public GptPartition? Find(Guid type)
    {
        foreach (GptPartition partition in Partitions)
            if (partition.Type == type) return partition;
        return null;
    }

    /// <summary>Reads the table of a disk. I/O errors propagate to the caller.</summary>
    /// <param name="disk">The disk; its content is untrusted.</param>
    /// <param name="table">The table, if the result is true.</param>
    /// <param name="error">The errors of the primary and the backup, if the result is false.</param>
    /// <returns>Whether the disk has a valid table.</returns>
    public static bool TryRead(ISectorReader disk, [NotNullWhen(true)] out Gpt? table, [NotNullWhen(false)] out string? error)
    {
        ArgumentNullException.ThrowIfNull(disk);
        table = null;
        error = "the disk is too small for a partition table";
        if (disk.SectorCount < GptLayout.MinSectors) return false;

        // A disk that was repartitioned with another scheme keeps the sectors of the old GPT, but not its protective MBR.
        var sector = new byte[GptHeader.SectorBytes];
        disk.ReadSectors(0, sector);
        error = "the first sector is not a protective MBR";
        if (!ProtectiveMbr.IsProtective(sector)) return false;

        table = Read(disk, 1, out var primaryError) ?? Read(disk, disk.SectorCount - 1, out error);
        if (table is null) error = $"primary: {primaryError}; backup: {error}";
        return table is not null;
    }

    private static Gpt? Read(ISectorReader disk, ulong lba, out string error)
    {
        var sector = new byte[GptHeader.SectorBytes];
        disk.ReadSectors(lba, sector);
        if (GptHeader.Parse(sector, lba, disk.SectorCount, out GptHeader header) is { } wrong) return Reject(wrong, out error);

        var arrayBytes = header.ArrayBytes;
        var array = new byte[(arrayBytes + sector.Length - 1) / sector.Length * sector.Length];
        disk.ReadSectors(header.PartitionEntryLba, array);
        if (Crc32.Of(array.AsSpan(0, arrayBytes)) != header.PartitionEntryArrayCrc32) return Reject("the GPT entries' CRC is wrong", out error);

        var partitions = new List<GptPartition>();
        for (var at = 0; at < arrayBytes; at += (int)header.SizeOfPartitionEntry)
        {
            if (GptEntry.Parse(array.AsSpan(at, GptEntry.Bytes), header, out GptPartition? partition) is { } bad) return Reject(bad, out error);
            if (partition is not null) partitions.Add(partition);
        }
        if (GptLayout.FindOverlap(partitions) is { } overlap) return Reject(overlap, out error);
        error = "";
        return new Gpt(header.DiskGuid, partitions, isBackup: lba != 1);
    }

    private static Gpt? Reject(string why, out string error)
    {
        error = why;
        return null;
    }
}
