namespace VmShunt.BlockBackend.Disk;

/// <summary>The result of a disk operation; each front end translates it (virtio status, ATA error).</summary>
internal enum DiskStatus
{
    /// <summary>Success.</summary>
    Ok,

    /// <summary>The device failed; after a write the content of the range is unknown.</summary>
    IoError,

    /// <summary>The range is not on the disk.</summary>
    OutOfRange,

    /// <summary>A write to a read-only disk.</summary>
    ReadOnly,

    /// <summary>The disk does not support the operation.</summary>
    Unsupported,

    /// <summary>Cancelled while it waited for free space on a full disk; it may be submitted again.</summary>
    Stopped,
}
