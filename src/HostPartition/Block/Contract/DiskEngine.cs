namespace VmShunt.BlockBackend;

/// <summary>How the back-end reads and writes an image or block device.</summary>
public enum DiskEngine
{
    /// <summary>Chosen by the disk and its cache mode.</summary>
    Auto,

    /// <summary>One system call per request.</summary>
    PRead,

    /// <summary>Reads are copied from a mapping of the page cache, without a system call; all else as <see cref="PRead"/>.</summary>
    Mmap,

    /// <summary>Reads and writes of the ring are concurrent, by io_uring; all else as <see cref="PRead"/>.</summary>
    Uring,
}
