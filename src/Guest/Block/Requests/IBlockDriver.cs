namespace VmShunt.BlockDriver.Requests;

/// <summary>The geometry of a disk, as its port driver found it.</summary>
/// <param name="SectorCount">Sectors of 512 bytes.</param>
/// <param name="MaxTransferBytes">The longest read or write.</param>
/// <param name="Serial">The serial number, or empty if the driver does not know it.</param>
/// <param name="IsReadOnly">Whether the driver knows that writes will fail.</param>
internal sealed record DiskGeometry(ulong SectorCount, int MaxTransferBytes, string Serial, bool IsReadOnly)
{
    /// <summary>The logical block size in bytes; 512 if the driver does not know it.</summary>
    public int LogicalBlockBytes { get; init; } = DiskClassDriver.SectorBytes;

    /// <summary>The longest discard.</summary>
    public int MaxDiscardBytes { get; init; } = DiskClassDriver.MaxDiscardBytes;

    /// <summary>The longest write zeroes.</summary>
    public int MaxWriteZeroesBytes { get; init; } = DiskClassDriver.MaxWriteZeroesBytes;
}

/// <summary>
/// A layer of a driver stack. It completes each submitted request once, from any thread, possibly before
/// <see cref="Submit"/> returns. It never blocks the caller on another request.
/// </summary>
internal interface IBlockDriver
{
    DiskGeometry Geometry { get; }

    void Submit(BlockRequest request);
}
