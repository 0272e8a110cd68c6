namespace VmShunt.Guest.Firmware.Partitions;

/// <summary>One entry of a partition table.</summary>
/// <param name="Type">What the partition is for; see <see cref="PartitionTypes"/>.</param>
/// <param name="Id">This partition's own GUID.</param>
/// <param name="Name">At most 36 UTF-16 code units.</param>
/// <param name="FirstSector">The first sector, counted from the start of the disk.</param>
/// <param name="SectorCount">The size in sectors of 512 bytes, at least 1.</param>
public sealed record GptPartition(Guid Type, Guid Id, string Name, ulong FirstSector, ulong SectorCount)
{
    /// <summary>The last sector that belongs to the partition.</summary>
    public ulong LastSector => FirstSector + SectorCount - 1;

    /// <summary>True when the two share a sector.</summary>
    internal bool Overlaps(GptPartition other) => FirstSector <= other.LastSector && other.FirstSector <= LastSector;
}
