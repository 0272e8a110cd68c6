using VmShunt.BlockDriver.Memory;
using VmShunt.Guest.Firmware.Partitions;
using VmShunt.Guest.Requests;

namespace VmShunt.Guest.Crash;

/// <summary>Blocking sector reads through a class driver, for partition tables and headers. Not from a continuation.</summary>
internal sealed class DiskSectorReader(DiskClassDriver disk, GuestPages pages) : ISectorReader
{
    public ulong SectorCount => disk.Geometry.SectorCount;

    public void ReadSectors(ulong sector, Span<byte> buffer)
    {
        var staging = pages.Allocate(buffer.Length);
        try
        {
            disk.ReadAsync(sector, staging).AsTask().GetAwaiter().GetResult();
            staging.Span.CopyTo(buffer);
            DataCopies.Note();
        }
        finally
        {
            pages.Free(staging);
        }
    }
}
