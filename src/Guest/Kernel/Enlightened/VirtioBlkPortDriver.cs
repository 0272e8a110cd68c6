using VmShunt.Guest.Block;
using VmShunt.Guest.Bus;

namespace VmShunt.Guest.Enlightened;

/// <summary>Port driver-en: the bottom of the enlightened stack. It knows that it is in a VM, and its requests go to VM-H over the bus.</summary>
internal sealed class VirtioBlkPortDriver(BusChannel channel) : IBlockDriver
{
    public DiskGeometry Geometry => channel.Geometry;

    public void Submit(BlockRequest request) => channel.Submit(request);
}
