namespace VmShunt.BlockDriver.Requests;

/// <summary>Where no road begins: it ends every request with an I/O error. Any thread.</summary>
/// <param name="geometry">What the disk is, or was.</param>
internal sealed class RefusingDriver(DiskGeometry geometry) : IBlockDriver
{
    public DiskGeometry Geometry => geometry;

    public void Submit(BlockRequest request) => request.Complete(BlockStatus.IoError);
}
