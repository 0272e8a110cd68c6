namespace VmShunt.HostPartition.Disk;

/// <summary>How a disk operation ended; each front end says it in its own words (virtio status, ATA error).</summary>
internal enum DiskStatus
{
    /// <summary>Done.</summary>
    Ok,

    /// <summary>The device failed; what the range holds now is unknown (write) or was not read.</summary>
    IoError,

    /// <summary>The range is not on the disk.</summary>
    OutOfRange,

    /// <summary>A write to a disk that is opened read-only.</summary>
    ReadOnly,

    /// <summary>This disk cannot do that.</summary>
    Unsupported,

    /// <summary>
    /// Neither done nor failed: the disk is full, and who waited for room was told to stop. It may be asked for again.
    /// </summary>
    Stopped,
}
