namespace VmShunt.HostPartition.VirtioBlk.Serving;

/// <summary>What a step of a <see cref="VirtqueueHandler{TQueue}"/> did.</summary>
internal enum HandlerStep
{
    /// <summary>There was nothing to do.</summary>
    Empty,

    /// <summary>A request was begun or done, or the disk has ended some.</summary>
    Worked,

    /// <summary>What had been done was told the driver.</summary>
    Published,

    /// <summary>A request waited for room on a full disk until the ring was stopped; it is the driver's again.</summary>
    Untaken,

    /// <summary>A request is next that may take long, and this step was not to.</summary>
    Left,

    /// <summary>The driver broke the ring; only a new set-up helps.</summary>
    Broken,
}
