using VmShunt.AhciBackend.VfioUser;
using VmShunt.BlockBackend;
using VmShunt.BlockBackend.Transition;
using VmShunt.Ring.Serving;
using VmShunt.Trap.VfioUser;

namespace VmShunt.AhciBackend;

/// <summary>Adds an emulated AHCI controller to a <see cref="BlockServer"/>.</summary>
public static class AhciServer
{
    /// <summary>
    /// Serves the disk behind an AHCI 1.3.1 controller over vfio-user on a Unix socket (QEMU 10.1 and later:
    /// <c>-device vfio-user-pci</c>). Each session has a controller of its own; all have the server's disk. Any thread.
    /// </summary>
    /// <param name="server">The server.</param>
    /// <param name="path">The socket's path, or another address, as in <see cref="BlockServer.ListenVhostUser"/>.</param>
    /// <returns>The listener, which can withdraw the socket and offer it again; owned by the server.</returns>
    /// <exception cref="IOException">The path is in use, too long, not a socket, or its folder does not exist.</exception>
    /// <exception cref="ObjectDisposedException">The server is disposed.</exception>
    public static SessionListener ListenVfioUser(this BlockServer server, string path)
    {
        ArgumentNullException.ThrowIfNull(server);
        var sessions = 0;
        return server.Listen(path, connection =>
        {
            TrapMember? member = null;
            var number = Interlocked.Increment(ref sessions);
            server.Options.Log.TrapOpened(number);
            var reason = "the client closed it";
            server.Disk.Lease.Enter();
            try
            {
                using var session = new VfioUserSession(connection, interrupt => new AhciVfioDevice(server.Disk, interrupt, () => server.Options.Log.MemoryIsNotShared(number), server.Pairs is null ? null : Open));
                try
                {
                    session.Run();
                }
                finally
                {
                    // Before the device: the transition commands it.
                    member?.Dispose();
                }
            }
            catch (IOException e)
            {
                reason = e.Message;
            }
            finally
            {
                server.Disk.Lease.Leave(passesOn: false);
            }
            server.Options.Log.TrapClosed(number, reason);

            GuestTransition Open(ITrapPath trap)
            {
                member = server.Pairs!.OpenTrap(connection.PeerProcessId, path, trap, HangUp.Of(connection)) ?? throw new IOException("it is a second one");
                return member.Transition;
            }
        });
    }
}
