namespace VmShunt.BlockDriver;

/// <summary>A completed request of a <see cref="BlockQueue"/>.</summary>
public readonly struct Completion
{
    internal Completion(long tag, BlockStatus status)
    {
        Tag = tag;
        Status = status;
    }

    /// <summary>The tag that the caller gave the request.</summary>
    public long Tag { get; }

    /// <summary>How it completed.</summary>
    public BlockStatus Status { get; }

    /// <summary>Whether it succeeded.</summary>
    public bool IsSuccess => Status == BlockStatus.Ok;
}
