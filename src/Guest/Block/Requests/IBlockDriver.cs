namespace VmShunt.BlockDriver.Requests;

/// <summary>
/// A driver, or a layer over one. It completes each submitted request once, from any thread, possibly before
/// <see cref="Submit"/> returns. It never blocks the caller on another request. Any thread.
/// </summary>
public interface IBlockDriver
{
    /// <summary>The disk's geometry. It may change.</summary>
    DiskGeometry Geometry { get; }

    /// <summary>Takes a request, which its creator has begun and which is then the driver's until it ends.</summary>
    /// <param name="request">The request.</param>
    void Submit(BlockRequest request);
}
