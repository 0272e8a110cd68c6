using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;

namespace VmShunt.Guest.Enlightened;

/// <summary>
/// The enlightened stack of one disk: class driver (enlightened), reverse shunt, port driver (enlightened). It stays when
/// the bus is lost, so that applications can keep using it.
/// </summary>
internal sealed class EnlightenedStack
{
    /// <param name="away">Takes requests that the bus cannot: the emulated port.</param>
    /// <param name="crash">Stops requests when the machine crashes.</param>
    internal EnlightenedStack(IPortDriver away, CrashGate crash)
    {
        Port = new VirtioBlkPortDriver(away);
        Shunt = new ReverseShunt(Port);
        Disk = new DiskClassDriver(Shunt, crash) { StackName = "enlightened" };
        Top = new ClassDriverEntry(Disk, Shunt, Port);
    }

    /// <summary>The class driver (enlightened).</summary>
    internal DiskClassDriver Disk { get; }

    internal ReverseShunt Shunt { get; }

    /// <summary>The port driver (enlightened).</summary>
    internal VirtioBlkPortDriver Port { get; }

    /// <summary>The class driver (enlightened) as the target of a shunt above the class driver (emulating).</summary>
    internal IEnlightenedEntry Top { get; }

    private sealed class ClassDriverEntry(IBlockDriver disk, ReverseShunt shunt, VirtioBlkPortDriver port) : IEnlightenedEntry
    {
        public DiskGeometry Geometry => disk.Geometry;

        public bool IsPresent => port.IsPresent;

        public void Submit(BlockRequest request) => disk.Submit(request);

        public bool TryAccept(BlockRequest request)
        {
            if (shunt.IsInert) return port.TryAccept(request);
            disk.Submit(request);
            return true;
        }
    }
}
