using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Enlightened;

/// <summary>
/// The enlightened stack of one disk: class driver-en, reverse shunt, port driver-en. Once made it stays, whatever the mode and the
/// bus, so that whoever uses it may go on.
/// </summary>
internal sealed class EnlightenedStack
{
    /// <param name="away">Takes requests that the bus cannot: port driver-em.</param>
    /// <param name="crash">Stops requests when the machine crashes.</param>
    internal EnlightenedStack(IPortDriver away, CrashGate crash)
    {
        Port = new VirtioBlkPortDriver(away);
        Shunt = new ReverseShunt(Port);
        Disk = new DiskClassDriver(Shunt, crash) { StackName = "enlightened" };
        Top = new ClassDriverEntry(Disk, Shunt, Port);
    }

    /// <summary>Class driver-en.</summary>
    internal DiskClassDriver Disk { get; }

    internal ReverseShunt Shunt { get; }

    /// <summary>Port driver-en.</summary>
    internal VirtioBlkPortDriver Port { get; }

    /// <summary>Class driver-en as a shunt above class driver-em sees it.</summary>
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
