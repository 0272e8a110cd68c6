namespace VmShunt.Guest.Firmware.Partitions;

/// <summary>A partition of a GPT.</summary>
/// <param name="Type">The partition type; see <see cref="PartitionTypes"/>.</param>
/// <param name="Id">The partition's GUID.</param>
/// <param name="Name">At most 36 UTF-16 code units.</param>
/// <param name="FirstSector">The first sector, from the start of the disk.</param>
/// <param name="SectorCount">The size in sectors of 512 bytes, at least 1.</param>
public sealed record GptPartition(Guid Type, Guid Id, string Name, ulong FirstSector, ulong SectorCount)
{
    /// <summary>The last sector of the partition.</summary>
    public ulong LastSector => FirstSector + SectorCount - 1;

    /// <summary>Whether the two share a sector.</summary>
    internal bool Overlaps(GptPartition other) => FirstSector <= other.LastSector && other.FirstSector <= LastSector;
}
