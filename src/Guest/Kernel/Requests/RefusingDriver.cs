using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Requests;

/// <summary>The bottom of a stack without a path: it completes every request with an I/O error. Any thread.</summary>
/// <param name="geometry">The last known geometry of the disk.</param>
internal sealed class RefusingDriver(DiskGeometry geometry) : IBlockDriver
{
    public DiskGeometry Geometry => geometry;

    public void Submit(BlockRequest request) => request.Complete(BlockStatus.IoError);
}
