namespace VmShunt.HostPartition.Disk;

/// <summary>What <c>--engine</c> names: how VM-H reads and writes an image or block device.</summary>
internal enum DiskEngine
{
    /// <summary>The one that suits the disk and its cache mode.</summary>
    Auto,

    /// <summary>A system call a request.</summary>
    PRead,

    /// <summary>Reads are copied from a mapping of the page cache, without a system call; the rest as <see cref="PRead"/>.</summary>
    Mmap,

    /// <summary>Reads and writes of the ring are under way side by side, by io_uring; the rest as <see cref="PRead"/>.</summary>
    Uring,
}
