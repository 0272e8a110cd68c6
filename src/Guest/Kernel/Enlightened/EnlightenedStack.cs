using VmShunt.Guest.Block;
using VmShunt.Guest.Crash;

namespace VmShunt.Guest.Enlightened;

/// <summary>
/// The enlightened stack of one disk: class driver-en, reverse shunt, port driver-en. Once made it stays, whatever the mode and the
/// bus, so that whoever uses it may go on.
/// </summary>
internal sealed class EnlightenedStack
{
    /// <param name="away">Takes requests that the bus cannot: port driver-em.</param>
    /// <param name="crash">Stops requests when the machine crashes.</param>
    internal EnlightenedStack(IPortDriver away, CrashStop crash)
    {
        Port = new VirtioBlkPortDriver(away);
        Shunt = new ReverseShunt(Port);
        Disk = new DiskClassDriver(Shunt, crash) { StackName = "enlightened" };
    }

    /// <summary>Class driver-en.</summary>
    internal DiskClassDriver Disk { get; }

    internal ReverseShunt Shunt { get; }

    /// <summary>Port driver-en.</summary>
    internal VirtioBlkPortDriver Port { get; }
}
