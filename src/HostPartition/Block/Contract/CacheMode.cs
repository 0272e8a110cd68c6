namespace VmShunt.BlockBackend;

/// <summary>When a completed write is durable.</summary>
public enum CacheMode
{
    /// <summary>At a flush; writes go through the page cache and the device's own cache.</summary>
    WriteBack,

    /// <summary>When it completes.</summary>
    WriteThrough,

    /// <summary>At a flush; writes bypass the page cache (O_DIRECT), not the device's own cache.</summary>
    Direct,
}
