namespace VmShunt.BlockDriver.Requests;

/// <summary>The request types of a block device.</summary>
public enum BlockOperation : byte
{
    /// <summary>Disk to memory.</summary>
    Read,

    /// <summary>Memory to disk.</summary>
    Write,

    /// <summary>Makes completed writes durable.</summary>
    Flush,

    /// <summary>Deallocates a range.</summary>
    Discard,

    /// <summary>Makes a range read as zeros.</summary>
    WriteZeroes,
}

/// <summary>The completion status of a request.</summary>
public enum BlockStatus : byte
{
    /// <summary>Success.</summary>
    Ok,

    /// <summary>The device failed or rejected the request. After a write, the content of the range is undefined.</summary>
    IoError,

    /// <summary>The device does not implement the request type.</summary>
    Unsupported,

    /// <summary>Cancelled before a device had it: the request has no effect, now or later.</summary>
    Cancelled,
}

/// <summary>A block request failed. The exception is the same on the trap path and the ring path.</summary>
public sealed class BlockIoException(BlockOperation operation, ulong sector, int bytes, BlockStatus status)
    : IOException($"{operation} of {bytes:n0} bytes at sector {sector:n0} failed: {status}")
{
    /// <summary>The completion status.</summary>
    public BlockStatus Status { get; } = status;
}
