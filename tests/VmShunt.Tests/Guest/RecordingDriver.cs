using VmShunt.Guest.Block;

namespace VmShunt.Tests.Guest;

/// <summary>The bottom of a stack that keeps what it gets, or ends it at once.</summary>
internal sealed class RecordingDriver(bool completesAtOnce = false, BlockStatus status = BlockStatus.Ok) : IBlockDriver
{
    internal List<BlockRequest> Requests { get; } = [];

    internal List<BlockOperation> Operations { get; } = [];

    public DiskGeometry Geometry { get; init; } = new(1024, 1 << 20, "TEST", IsReadOnly: false);

    public void Submit(BlockRequest request)
    {
        Operations.Add(request.Operation);
        if (completesAtOnce) request.Complete(status);
        else Requests.Add(request);
    }
}
