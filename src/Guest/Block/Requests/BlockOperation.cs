namespace VmShunt.BlockDriver.Requests;

/// <summary>The request types of a block device.</summary>
internal enum BlockOperation : byte
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

/// <summary>A block request failed. The exception is the same on the trap path and the ring path.</summary>
internal sealed class BlockIoException(BlockOperation operation, ulong sector, int bytes, BlockStatus status)
    : IOException($"{operation} of {bytes:n0} bytes at sector {sector:n0} failed: {status}")
{
    /// <summary>The completion status.</summary>
    public BlockStatus Status { get; } = status;
}
