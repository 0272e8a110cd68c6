using VmShunt.BlockDriver.Requests;

namespace VmShunt.BlockDriver;

/// <summary>A request failed. <see cref="Status"/> says how, the message what to do.</summary>
public sealed class BlockDiskException : IOException
{
    internal BlockDiskException(BlockOperation operation, long offset, int length, BlockStatus status)
        : base($"{Describe(operation, offset, length)} failed: {Advise(operation, status)}")
    {
        Status = status;
        Offset = offset;
        Length = length;
    }

    /// <summary>How the request completed: never <see cref="BlockStatus.Ok"/>.</summary>
    public BlockStatus Status { get; }

    /// <summary>The request's first byte on the disk; 0 for a flush. A longer call is split into several requests, of which this one failed.</summary>
    public long Offset { get; }

    /// <summary>The request's length in bytes; 0 for a flush.</summary>
    public int Length { get; }

    internal static string Name(BlockOperation operation) => operation switch
    {
        BlockOperation.Read => "a read",
        BlockOperation.Write => "a write",
        BlockOperation.Flush => "a flush",
        BlockOperation.Discard => "a discard",
        _ => "a write of zeros",
    };

    private static string Describe(BlockOperation operation, long offset, int length) =>
        operation == BlockOperation.Flush ? Name(operation) : $"{Name(operation)} of {length:n0} bytes at offset {offset:n0}";

    private static string Advise(BlockOperation operation, BlockStatus status) => status switch
    {
        BlockStatus.Unsupported => $"the back-end does not implement {Name(operation)} (VIRTIO_BLK_S_UNSUPP)",
        BlockStatus.Disconnected => operation == BlockOperation.Read
            ? "the back-end was lost; repeat it when the disk is connected again"
            : "the back-end was lost, and may have executed the request; repeat it when the disk is connected again",
        _ => "the back-end reports an I/O error (VIRTIO_BLK_S_IOERR); its log may have the cause",
    };
}
