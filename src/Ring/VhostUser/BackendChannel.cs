using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;

namespace VmShunt.Ring.VhostUser;

/// <summary>
/// The socket for the back-end's own requests (vhost-user, "Back-end communication"). They need no reply and never block: a
/// front-end that does not read it delays nothing. The session's thread opens and closes it; any thread sends.
/// </summary>
internal sealed class BackendChannel : IDisposable
{
    private readonly Lock _lock = new();
    private UnixConnection? _socket;
    private bool _hasConfig;

    /// <summary>Opens the channel on a socket, which replaces an earlier one.</summary>
    /// <returns>Null, or why the socket cannot be used; it is closed then.</returns>
    internal string? Open(SafeFileHandle descriptor)
    {
        var socket = UnixConnection.FromDescriptor(descriptor);
        // Nothing is read from it, so nothing may queue up in it. If the front-end passed its own end of the session, the
        // shutdown also stops the back-end's replies, which the caller detects.
        if (!socket.TryShutdownReceive())
        {
            socket.Dispose();
            return "the descriptor is not a connected socket";
        }
        Replace(socket);
        return null;
    }

    /// <summary>Whether CONFIG was negotiated; without it, no change is notified.</summary>
    internal void SetConfig(bool negotiated)
    {
        lock (_lock) _hasConfig = negotiated;
    }

    /// <summary>Sends VHOST_USER_BACKEND_CONFIG_CHANGE_MSG.</summary>
    internal void NotifyConfigChanged()
    {
        var header = new VhostUserHeader { Request = (VhostUserRequest)VhostUserBackendRequest.ConfigChange, Flags = VhostUserHeader.Version };
        // A full socket holds unread messages of this kind, and the front-end reads the current configuration for each.
        lock (_lock)
        {
            if (_hasConfig) _socket?.TrySend(MemoryMarshal.AsBytes(new ReadOnlySpan<VhostUserHeader>(in header)));
        }
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
