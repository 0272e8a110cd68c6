using VmShunt.BlockBackend.Disk;

namespace VmShunt.BlockBackend;

/// <summary>How a <see cref="HostDisk"/> is opened.</summary>
public sealed record HostDiskOptions
{
    /// <summary>Whether to open it read-only; other processes may read it too then, but not write to it.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>When a completed write is durable.</summary>
    public CacheMode Cache { get; init; } = CacheMode.WriteBack;

    /// <summary>How an image or block device is read and written.</summary>
    public DiskEngine Engine { get; init; } = DiskEngine.Auto;

    /// <summary>
    /// Whether an image is raw whatever its content looks like. Otherwise a file that is a qcow2, VMDK, VHD or VHDX image is
    /// not opened: a guest would see and overwrite the image's structure.
    /// </summary>
    public bool IsRaw { get; init; }

    /// <summary>
    /// Whether another process serves the image until its guest has migrated to this one: the image is locked when the guest's
    /// first ring starts, and requests wait until the other process has released it.
    /// </summary>
    public bool IsIncoming { get; init; }

    /// <summary>The unit of a guest's requests in bytes on both paths, 512 or 4096 (virtio <c>blk_size</c>; AHCI: 512e or 4Kn).</summary>
    public int LogicalBlockSize { get; init; } = 512;

    /// <summary>
    /// The smallest write in bytes that needs no read-modify-write, which the guest aligns its requests to on both paths: a power
    /// of two from <see cref="LogicalBlockSize"/> to 65536.
    /// </summary>
    public int PhysicalBlockSize { get; init; } = 4096;

    /// <summary>The serial number that the guest reads: 1 to 20 ASCII characters.</summary>
    public string Serial { get; init; } = BlockStorage.DefaultSerial;

    /// <exception cref="FormatException">A value is out of its range; the message has the range.</exception>
    internal void Check()
    {
        if (LogicalBlockSize is not (512 or 4096)) throw new FormatException($"{nameof(HostDiskOptions)}.{nameof(LogicalBlockSize)} is {LogicalBlockSize}; it takes 512 or 4096");
        if (!DiskTopology.IsPhysicalBlock(PhysicalBlockSize, LogicalBlockSize))
        {
            throw new FormatException(
                $"{nameof(HostDiskOptions)}.{nameof(PhysicalBlockSize)} is {PhysicalBlockSize}; it takes a power of two from the logical block size, {LogicalBlockSize}, to {DiskTopology.LargestPhysicalBlock}");
        }
    }
}
