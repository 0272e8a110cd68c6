namespace VmShunt.BlockBackend;

/// <summary>Why a request fails, as the guest is told.</summary>
public enum BlockStatus
{
    /// <summary>The disk failed (virtio-blk: IOERR; ATA: ERR with ABRT or UNC).</summary>
    IoError,

    /// <summary>The disk does not support the request (virtio-blk: UNSUPP; ATA: ABRT).</summary>
    Unsupported,

    /// <summary>The disk is full: an I/O error for the guest; with <see cref="NoSpacePolicy.Wait"/> the write is retried until there is space.</summary>
    NoSpace,
}
