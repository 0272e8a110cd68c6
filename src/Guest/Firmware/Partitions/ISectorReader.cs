namespace VmShunt.Guest.Firmware.Partitions;

/// <summary>
/// The little that firmware needs of a disk: whole sectors of 512 bytes, read one call at a time. What it returns is
/// not trusted by anything in this namespace.
/// </summary>
public interface ISectorReader
{
    /// <summary>The capacity in sectors of 512 bytes.</summary>
    ulong SectorCount { get; }

    /// <summary>Fills <paramref name="buffer"/> from <paramref name="sector"/> on.</summary>
    /// <param name="sector">The first sector; the whole range lies on the disk.</param>
    /// <param name="buffer">Its length is a multiple of 512.</param>
    /// <exception cref="IOException">The disk could not be read.</exception>
    void ReadSectors(ulong sector, Span<byte> buffer);
}
