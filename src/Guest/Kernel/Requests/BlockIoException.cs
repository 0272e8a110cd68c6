using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Requests;

/// <summary>A block request failed. The exception is the same on the trap path and the ring path.</summary>
internal sealed class BlockIoException(BlockOperation operation, ulong sector, int bytes, BlockStatus status)
    : IOException($"{operation} of {bytes:n0} bytes at sector {sector:n0} failed: {status}")
{
    /// <summary>The completion status.</summary>
    public BlockStatus Status { get; } = status;
}
