using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.VhostUser;

/// <summary>
/// The socket for requests of the back-end's own (SET_BACKEND_REQ_FD). Messages ask for no reply and are never waited for:
/// a front-end that does not read holds up nobody. Opened and closed by the session's thread; any thread sends.
/// </summary>
internal sealed class BackendChannel : IDisposable
{
    private readonly Lock _lock = new();
    private UnixConnection? _socket;

    /// <summary>Takes the socket, instead of one from before.</summary>
    /// <returns>Null, or why it cannot be used; it is closed then.</returns>
    internal string? Open(SafeFileHandle descriptor)
    {
        var socket = UnixConnection.FromDescriptor(descriptor);
        // Nothing is read from it, so nothing shall pile up in it. A front-end that passed its own end of the session
        // would keep that open beyond its death; this way it cuts off its answers, which is noticed at once.
        if (!socket.TryShutdownReceive())
        {
            socket.Dispose();
            return "the descriptor is no connected socket";
        }
        Replace(socket);
        return null;
    }

    /// <summary>Says that the configuration space has changed.</summary>
    internal void NotifyConfigChanged()
    {
        var header = new VhostUserHeader { Request = (VhostUserRequest)VhostUserBackendRequest.ConfigChange, Flags = VhostUserHeader.Version };
        // Where there is no room, as many such messages wait to be read, and each has the front-end read what is true then.
        lock (_lock) _socket?.TrySend(MemoryMarshal.AsBytes(new ReadOnlySpan<VhostUserHeader>(in header)));
    }

    public void Dispose() => Replace(null);

    private void Replace(UnixConnection? socket)
    {
        lock (_lock)
        {
            _socket?.Dispose();
            _socket = socket;
        }
    }
}
