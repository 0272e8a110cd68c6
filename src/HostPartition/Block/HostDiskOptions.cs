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

    /// <summary>The preferred block size in bytes, 512 or 4096.</summary>
    public int LogicalBlockSize { get; init; } = 512;

    /// <summary>The serial number that the guest reads: 1 to 20 ASCII characters.</summary>
    public string Serial { get; init; } = BlockStorage.DefaultSerial;
}
