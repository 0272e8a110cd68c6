namespace VmShunt.Guest.Firmware.Partitions;

/// <summary>
/// A partition table as it is written to a new disk: the protective MBR, the primary table and its backup. Pure bytes;
/// the caller writes <see cref="Head"/> at sector 0 and <see cref="Tail"/> at <see cref="TailSector"/>.
/// </summary>
public sealed class GptLayout
{
    /// <summary>Where partitions start and end, in sectors: 1 MiB, as every partitioning tool does.</summary>
    public const ulong AlignmentSectors = 2048;

    private const int Entries = 128, ArraySectors = Entries * GptEntry.Bytes / GptHeader.SectorBytes;
    private const int HeadSectors = 2 + ArraySectors, TailSectors = ArraySectors + 1;

    /// <summary>MBR, two headers, two arrays and one sector to use.</summary>
    internal const ulong MinSectors = HeadSectors + TailSectors + 1;

    private GptLayout(byte[] head, byte[] tail, ulong tailSector)
    {
        Head = head;
        Tail = tail;
        TailSector = tailSector;
    }

    /// <summary>The first sectors of the disk: MBR, primary header, entries.</summary>
    public ReadOnlyMemory<byte> Head { get; }

    /// <summary>The last sectors of the disk: entries, backup header.</summary>
    public ReadOnlyMemory<byte> Tail { get; }

    /// <summary>Where <see cref="Tail"/> goes.</summary>
    public ulong TailSector { get; }

    /// <summary>The number of sectors that a disk needs for a last partition that ends before <paramref name="endSector"/>.</summary>
    public static ulong DiskSectors(ulong endSector) => AlignUp(endSector) + AlignmentSectors;

    /// <summary>The next sector, from this one on, where a partition may start.</summary>
    public static ulong AlignUp(ulong sector) => (sector + AlignmentSectors - 1) / AlignmentSectors * AlignmentSectors;

    /// <summary>Makes the table of a disk.</summary>
    /// <param name="diskSectors">The size of the disk in sectors of 512 bytes.</param>
    /// <param name="diskId">The disk's own GUID.</param>
    /// <param name="partitions">At most 128, not overlapping, with names of at most 36 characters.</param>
    /// <exception cref="ArgumentException">The partitions do not fit the disk or a limit above.</exception>
    public static GptLayout Create(ulong diskSectors, Guid diskId, IReadOnlyList<GptPartition> partitions)
    {
        ArgumentNullException.ThrowIfNull(partitions);
        if (diskSectors < MinSectors)
            throw new ArgumentException($"a disk of {diskSectors} sectors is too small for a partition table ({MinSectors})", nameof(diskSectors));
        ulong firstUsable = HeadSectors, lastUsable = diskSectors - TailSectors - 1;
        Check(partitions, firstUsable, lastUsable);

        var head = new byte[HeadSectors * GptHeader.SectorBytes];
        var tail = new byte[TailSectors * GptHeader.SectorBytes];
        Span<byte> array = head.AsSpan(2 * GptHeader.SectorBytes);
        for (var i = 0; i < partitions.Count; i++) GptEntry.Format(partitions[i], array.Slice(i * GptEntry.Bytes, GptEntry.Bytes));
        array.CopyTo(tail);

        var primary = new GptHeader(1, diskSectors - 1, firstUsable, lastUsable, diskId, 2, Entries, GptEntry.Bytes, Crc32.Of(array));
        var backup = primary with { MyLba = diskSectors - 1, AlternateLba = 1, PartitionEntryLba = lastUsable + 1 };
        ProtectiveMbr.Format(head, diskSectors);
        primary.Format(head.AsSpan(GptHeader.SectorBytes, GptHeader.SectorBytes));
        backup.Format(tail.AsSpan(ArraySectors * GptHeader.SectorBytes));
        return new GptLayout(head, tail, lastUsable + 1);
    }

    /// <summary>Names two partitions that share a sector, or returns null.</summary>
    internal static string? FindOverlap(IReadOnlyList<GptPartition> partitions)
    {
        GptPartition[] sorted = [.. partitions];
        Array.Sort(sorted, static (a, b) => a.FirstSector.CompareTo(b.FirstSector));
        for (var i = 1; i < sorted.Length; i++)
            if (sorted[i].Overlaps(sorted[i - 1])) return $"partitions {sorted[i - 1].Name} and {sorted[i].Name} overlap";
        return null;
    }

    private static void Check(IReadOnlyList<GptPartition> partitions, ulong firstUsable, ulong lastUsable)
    {
        if (partitions.Count > Entries) throw new ArgumentException($"{partitions.Count} partitions, at most {Entries} fit", nameof(partitions));
        foreach (GptPartition partition in partitions)
        {
            ArgumentNullException.ThrowIfNull(partition, nameof(partitions));
            if (partition.Type == Guid.Empty) throw new ArgumentException($"partition {partition.Name} has no type", nameof(partitions));
            if (partition.Name.Length > GptEntry.MaxNameLength)
                throw new ArgumentException($"the partition name {partition.Name} is longer than {GptEntry.MaxNameLength}", nameof(partitions));
            if (partition.SectorCount == 0 || partition.FirstSector < firstUsable || partition.FirstSector > lastUsable
                || partition.SectorCount - 1 > lastUsable - partition.FirstSector)
            {
                throw new ArgumentException(
                    $"partition {partition.Name} ({partition.SectorCount} sectors at {partition.FirstSector}) lies outside {firstUsable}..{lastUsable}", nameof(partitions));
            }
        }
        if (FindOverlap(partitions) is { } overlap) throw new ArgumentException(overlap, nameof(partitions));
    }
}
