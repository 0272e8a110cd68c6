namespace VmShunt.BlockBackend;

/// <summary>Thrown by a disk to say how a request fails. Any other exception is an I/O error.</summary>
public sealed class BlockException : IOException
{
    // ENOSPC, as the errors of files carry it.
    private const int NoSpaceLeft = 28;

    /// <summary>An I/O error.</summary>
    public BlockException()
        : this(BlockStatus.IoError)
    {
    }

    /// <summary>An I/O error with a message for the log.</summary>
    public BlockException(string message)
        : this(BlockStatus.IoError, message)
    {
    }

    /// <summary>An I/O error with a message for the log and its cause.</summary>
    public BlockException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>A failure with a status.</summary>
    /// <param name="status">What the guest is told.</param>
    /// <param name="message">What the log says; by default the status.</param>
    public BlockException(BlockStatus status, string? message = null)
        : base(message ?? status.ToString(), status == BlockStatus.NoSpace ? NoSpaceLeft : 0)
    {
        Status = status;
    }

    /// <summary>What the guest is told.</summary>
    public BlockStatus Status { get; }
}
