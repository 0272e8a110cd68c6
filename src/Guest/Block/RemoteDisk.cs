using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Ring.Interop;

namespace VmShunt.BlockDriver;

/// <summary>The disk of a guest that has nothing but the bus: an enlightened stack whose port driver-en outlives its back-end.</summary>
internal sealed class RemoteDisk : IDisposable
{
    private RemoteDisk(ReconnectingPortDriver port, CrashGate crash)
    {
        Port = port;
        Disk = new DiskClassDriver(port, crash) { StackName = "enlightened" };
    }

    internal ReconnectingPortDriver Port { get; }

    internal DiskClassDriver Disk { get; }

    /// <summary>Connects to the back-end that listens on a socket.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="wait">How long the back-end may take to come to be there, the first time.</param>
    /// <param name="openChannel">Makes a channel of a connection; is given whom to tell when it is lost.</param>
    /// <param name="crash">Ends requests when the guest crashes.</param>
    /// <exception cref="IOException">There is none, or it is no disk.</exception>
    internal static RemoteDisk Start(string socket, TimeSpan wait, Func<UnixConnection, Action<string>, BusChannel> openChannel, CrashGate crash)
    {
        var port = new ReconnectingPortDriver(
            lost =>
            {
                var connection = UnixConnection.ConnectWhenServed(socket, wait);
                wait = default;
                return openChannel(connection, lost);
            },
            static what => Console.Error.WriteLine($"vmshunt-guest: {what}"));
        return new RemoteDisk(port, crash);
    }

    public void Dispose() => Port.Dispose();
}
