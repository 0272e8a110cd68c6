namespace VmShunt.HostPartition.Disk;

/// <summary><c>--cache</c>: when a completed write is durable.</summary>
internal enum CacheMode
{
    /// <summary>At a flush; writes go through the page cache and the device's own cache.</summary>
    WriteBack,

    /// <summary>When it completes.</summary>
    WriteThrough,

    /// <summary>At a flush; writes bypass the page cache (O_DIRECT), not the device's own cache.</summary>
    Direct,
}
