namespace VmShunt.BlockDriver.Requests;

/// <summary>What a disk is, as its lowest driver found out.</summary>
/// <param name="SectorCount">Sectors of 512 bytes.</param>
/// <param name="MaxTransferBytes">The longest read or write.</param>
/// <param name="Serial">The disk's serial number, where the driver can tell.</param>
/// <param name="IsReadOnly">Writes will fail, where the driver can tell.</param>
public sealed record DiskGeometry(ulong SectorCount, int MaxTransferBytes, string Serial, bool IsReadOnly);

/// <summary>
/// A layer of a driver stack. It takes a request and later completes it, once, from any thread, possibly before
/// <see cref="Submit"/> returns. It never blocks the caller on another request.
/// </summary>
internal interface IBlockDriver
{
    DiskGeometry Geometry { get; }

    void Submit(BlockRequest request);
}
