namespace VmShunt.BlockDriver.Requests;

/// <summary>The geometry of a disk, as its driver found it.</summary>
/// <param name="SectorCount">The size, in units of <see cref="SectorBytes"/>.</param>
/// <param name="MaxTransferBytes">The longest read or write.</param>
/// <param name="Serial">The serial number, or empty if the driver does not know it.</param>
/// <param name="IsReadOnly">Whether the driver knows that writes will fail.</param>
public sealed record DiskGeometry(ulong SectorCount, int MaxTransferBytes, string Serial, bool IsReadOnly)
{
    /// <summary>The unit of sector numbers, whatever the logical block size (virtio 1.3 §5.2.4).</summary>
    public const int SectorBytes = 512;

    /// <summary>The longest read or write of any driver here.</summary>
    public const int LongestTransferBytes = 4 << 20;

    /// <summary>The longest discard of any driver here.</summary>
    public const int LongestDiscardBytes = 1 << 30;

    /// <summary>The longest write zeroes of any driver here.</summary>
    public const int LongestWriteZeroesBytes = 1 << 20;

    /// <summary>The logical block size in bytes; 512 if the driver does not know it.</summary>
    public int LogicalBlockBytes { get; init; } = SectorBytes;

    /// <summary>The longest discard.</summary>
    public int MaxDiscardBytes { get; init; } = LongestDiscardBytes;

    /// <summary>The longest write zeroes.</summary>
    public int MaxWriteZeroesBytes { get; init; } = LongestWriteZeroesBytes;
}
