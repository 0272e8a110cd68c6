namespace VmShunt.Guest.Firmware.Partitions;

/// <summary>
/// The bytes of a partition table for a new disk: the protective MBR, the primary table and its backup. The caller writes
/// <see cref="Head"/> at sector 0 and <see cref="Tail"/> at <see cref="TailSector"/>.
/// </summary>
public sealed class GptLayout
{
    /// <summary>The alignment of partitions in sectors: 1 MiB, the default of partitioning tools.</summary>
    public const ulong AlignmentSectors = 2048;

    private const int Entries = 128, ArraySectors = Entries * GptEntry.Bytes / GptHeader.SectorBytes;
    private const int HeadSectors = 2 + ArraySectors, TailSectors = ArraySectors + 1;

    /// <summary>The smallest disk: MBR, two headers, two arrays and one usable sector.</summary>
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

    /// <summary>The first sector of <see cref="Tail"/>.</summary>
    public ulong TailSector { get; }

    /// <summary>The size of a disk, in sectors, whose last partition ends before <paramref name="endSector"/>.</summary>
    public static ulong DiskSectors(ulong endSector) => AlignUp(endSector) + AlignmentSectors;

    /// <summary>The first sector from this one on where a partition may start.</summary>
    public static ulong AlignUp(ulong sector) => (sector + AlignmentSectors - 1) / AlignmentSectors * AlignmentSectors;

    /// <summary>Creates the table of a disk.</summary>
    /// <param name="diskSectors">The size of the disk in sectors of 512 bytes.</param>
    /// <param name="diskId">The disk's GUID.</param>
    /// <param name="partitions">At most 128, not overlapping, with names of at most 36 characters.</param>
    /// <exception cref="ArgumentException">The partitions do not fit the disk, or exceed a limit above.</exception>
    public static GptLayout Create(ulong diskSectors, Guid diskId, IReadOnlyList<GptPartition> partitions)
    {
        ArgumentNullException.ThrowIfNull(partitions);
        if (diskSectors < MinSectors)
            throw new ArgumentException($"a disk of {diskSectors} sectors is too small for a partition table, which needs {MinSectors}", nameof(diskSectors));
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

    /// <summary>Returns an error for two partitions that share a sector, or null.</summary>
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
        if (partitions.Count > Entries) throw new ArgumentException($"{partitions.Count} partitions are too many: the table has {Entries} entries", nameof(partitions));
        foreach (GptPartition partition in partitions)
        {
            ArgumentNullException.ThrowIfNull(partition, nameof(partitions));
            if (partition.Type == Guid.Empty) throw new ArgumentException($"partition {partition.Name} has no type", nameof(partitions));
            if (partition.Name.Length > GptEntry.MaxNameLength)
                throw new ArgumentException($"the partition name {partition.Name} is longer than {GptEntry.MaxNameLength} characters", nameof(partitions));
            if (partition.SectorCount == 0 || partition.FirstSector < firstUsable || partition.FirstSector > lastUsable
                || partition.SectorCount - 1 > lastUsable - partition.FirstSector)
            {
                throw new ArgumentException(
                    $"partition {partition.Name} ({partition.SectorCount} sectors at {partition.FirstSector}) is outside the usable sectors {firstUsable}..{lastUsable}", nameof(partitions));
            }
        }
        if (FindOverlap(partitions) is { } overlap) throw new ArgumentException(overlap, nameof(partitions));
    }
}
