using VmShunt.Guest.Bus;
using VmShunt.Ring.Interop;

namespace VmShunt.Guest.Enlightened;

/// <summary>
/// Another disk of this guest as a place where a reverse shunt sends requests: the bus to its VM-H, and its emulating
/// stack's port for what the bus cannot take.
/// </summary>
internal sealed class OtherDisk : IDisposable
{
    private readonly HypervisorBus _bus;
    private readonly BusChannel _channel;

    private OtherDisk(HypervisorBus bus, VirtioBlkPortDriver port, BusChannel channel)
    {
        _bus = bus;
        Port = port;
        _channel = channel;
    }

    internal VirtioBlkPortDriver Port { get; }

    /// <summary>Opens the disk's bus.</summary>
    /// <exception cref="IOException">There is none, or it does not open.</exception>
    internal static OtherDisk Open(EmulatedDisk emulated, HypervisorBus bus, Func<UnixConnection, Action<string>, BusChannel> openChannel)
    {
        var port = new VirtioBlkPortDriver(emulated.Port);
        var channel = openChannel(bus.Open(), why =>
        {
            port.Detach();
            Console.Error.WriteLine($"vmshunt-guest: the bus of {emulated.Name} is lost: {why}; its requests take the trap");
        });
        port.Attach(channel);
        return new OtherDisk(bus, port, channel);
    }

    /// <summary>Requests on it end first.</summary>
    public void Dispose()
    {
        Port.Detach();
        _channel.Dispose();
        _bus.Close();
    }
}
