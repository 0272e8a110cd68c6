namespace VmShunt.HostPartition.Disk;

/// <summary>What <c>--cache</c> names: what lies between a completed write and the medium.</summary>
internal enum CacheMode
{
    /// <summary>The page cache and the device's own: a flush makes writes durable.</summary>
    WriteBack,

    /// <summary>Nothing: a write is durable when it completes.</summary>
    WriteThrough,

    /// <summary>The device's own cache alone (O_DIRECT): a flush makes writes durable.</summary>
    Direct,
}
