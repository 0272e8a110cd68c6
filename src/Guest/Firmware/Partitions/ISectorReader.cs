namespace VmShunt.Guest.Firmware.Partitions;

/// <summary>
/// A disk as firmware reads it: whole sectors of 512 bytes, one blocking call at a time. Its content is untrusted.
/// </summary>
public interface ISectorReader
{
    /// <summary>The capacity in sectors of 512 bytes.</summary>
    ulong SectorCount { get; }

    /// <summary>Reads sectors into a buffer.</summary>
    /// <param name="sector">The first sector; the whole range is on the disk.</param>
    /// <param name="buffer">Its length is a multiple of 512.</param>
    /// <exception cref="IOException">The read failed.</exception>
    void ReadSectors(ulong sector, Span<byte> buffer);
}
