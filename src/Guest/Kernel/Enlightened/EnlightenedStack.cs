using VmShunt.Guest.Block;
using VmShunt.Guest.Bus;
using VmShunt.Guest.Crash;

namespace VmShunt.Guest.Enlightened;

/// <summary>The enlightened stack of one disk, while there is one: class driver-en over port driver-en.</summary>
internal sealed class EnlightenedStack
{
    /// <param name="channel">What port driver-en speaks through; stays the caller's.</param>
    /// <param name="crash">Stops requests when the machine crashes.</param>
    internal EnlightenedStack(BusChannel channel, CrashStop crash)
    {
        Port = new VirtioBlkPortDriver(channel);
        Disk = new DiskClassDriver(Port, crash);
    }

    /// <summary>Class driver-en.</summary>
    internal DiskClassDriver Disk { get; }

    /// <summary>Port driver-en.</summary>
    internal VirtioBlkPortDriver Port { get; }
}
