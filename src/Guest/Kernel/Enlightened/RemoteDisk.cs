using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Requests;
using VmShunt.Ring.Interop;

namespace VmShunt.Guest.Enlightened;

/// <summary>The disk of a guest without a hypervisor: an enlightened stack whose port driver reconnects to its back-end.</summary>
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
    /// <param name="wait">How long to wait for the socket at the first connect.</param>
    /// <param name="openChannel">Opens a channel over a connection; the second argument is the callback for its loss.</param>
    /// <param name="crash">Stops requests when the guest crashes.</param>
    /// <param name="log">Receives a line when the back-end is lost, and when it is connected again.</param>
    /// <exception cref="IOException">No back-end listens, or it is not a block device.</exception>
    internal static RemoteDisk Start(string socket, TimeSpan wait, Func<UnixConnection, Action<string>, BusChannel> openChannel, CrashGate crash, Action<string> log)
    {
        var port = new ReconnectingPortDriver(
            lost =>
            {
                var connection = UnixConnection.ConnectWithRetry(socket, wait);
                wait = default;
                return openChannel(connection, lost);
            },
            log);
        return new RemoteDisk(port, crash);
    }

    public void Dispose() => Port.Dispose();
}
