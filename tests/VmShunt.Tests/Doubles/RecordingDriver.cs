using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;

namespace VmShunt.Tests.Doubles;

/// <summary>The bottom of a stack, or the target of a shunt: records requests, and keeps, completes or rejects them.</summary>
internal sealed class RecordingDriver(bool completesAtOnce = false, BlockStatus status = BlockStatus.Ok) : IEnlightenedEntry, IPortDriver
{
    internal List<BlockRequest> Requests { get; } = [];

    internal List<BlockOperation> Operations { get; } = [];

    public DiskGeometry Geometry { get; init; } = new(1024, 1 << 20, "TEST", IsReadOnly: false);

    public bool IsPresent { get; set; }

    /// <summary>Whether it rejects requests instead of keeping them.</summary>
    internal bool Rejects { get; init; }

    public void Submit(BlockRequest request)
    {
        Operations.Add(request.Operation);
        if (Rejects) request.Reject();
        else if (completesAtOnce) request.Complete(status);
        else Requests.Add(request);
    }

    public bool TryAccept(BlockRequest request)
    {
        if (IsPresent) Submit(request);
        return IsPresent;
    }
}
