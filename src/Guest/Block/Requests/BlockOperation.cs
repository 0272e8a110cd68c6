namespace VmShunt.BlockDriver.Requests;

/// <summary>What a request asks of a disk.</summary>
public enum BlockOperation : byte
{
    /// <summary>Disk to memory.</summary>
    Read,

    /// <summary>Memory to disk.</summary>
    Write,

    /// <summary>Makes completed writes durable.</summary>
    Flush,

    /// <summary>Gives a range back to the device.</summary>
    Discard,

    /// <summary>Makes a range read as zeros.</summary>
    WriteZeroes,
}

/// <summary>How a request ended.</summary>
public enum BlockStatus : byte
{
    /// <summary>Done.</summary>
    Ok,

    /// <summary>The device failed or refused; the range is in doubt after a write.</summary>
    IoError,

    /// <summary>The device cannot do that.</summary>
    Unsupported,

    /// <summary>It was called back before any device had it: nothing was done, and nothing will be.</summary>
    Cancelled,
}

/// <summary>A block request failed; the same exception whichever road the request took.</summary>
public sealed class BlockIoException(BlockOperation operation, ulong sector, int bytes, BlockStatus status)
    : IOException($"{operation} of {bytes:n0} bytes at sector {sector:n0} failed: {status}")
{
    /// <summary>How it ended.</summary>
    public BlockStatus Status { get; } = status;
}
