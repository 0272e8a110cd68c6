using System.Globalization;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Ring.Interop;

/// <summary>A Unix stream socket that the process was started with, connected or listening.</summary>
internal sealed class InheritedSocket
{
    private const int F_GETFL = 3, F_SETFL = 4, O_NONBLOCK = 0x800, FirstFree = 3;

    private readonly int _descriptor;

    private InheritedSocket(int descriptor, bool isListening) => (_descriptor, IsListening) = (descriptor, isListening);

    internal bool IsListening { get; }

    /// <summary>Finds it.</summary>
    /// <param name="address">What the user wrote, for messages.</param>
    /// <param name="number">The descriptor's number.</param>
    /// <exception cref="IOException">It is no such socket.</exception>
    internal static InheritedSocket Open(string address, string number)
    {
        if (!int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var descriptor) || descriptor < FirstFree)
            throw new IOException($"{address} names no socket: fd:N takes the number of a descriptor, 3 or more, that this process was started with");
        using var handle = new SafeFileHandle(descriptor, ownsHandle: false);
        var flags = Libc.Fcntl(handle, F_GETFL, 0);
        if (flags < 0)
            throw new IOException($"{address}: descriptor {descriptor} is not open; the program that starts this one has to leave it open over exec");
        if (new FileInfo($"/proc/self/fd/{descriptor}").LinkTarget?.StartsWith("socket:", StringComparison.Ordinal) != true)
            throw new IOException($"{address}: descriptor {descriptor} is not a socket");
        using var socket = Duplicate(handle);
        if (socket.AddressFamily != AddressFamily.Unix || socket.SocketType != SocketType.Stream)
            throw new IOException($"{address}: descriptor {descriptor} is a {socket.AddressFamily} {socket.SocketType} socket; a Unix stream socket is needed");
        var isListening = (int)socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.AcceptConnection)! != 0;
        if (!isListening && !socket.Connected && !HasPeer(socket))
            throw new IOException($"{address}: the socket of descriptor {descriptor} is neither listening nor connected, or its peer has closed it");
        // Calls on it block here, whatever they did in the process that made it.
        if ((flags & O_NONBLOCK) != 0) _ = Libc.Fcntl(handle, F_SETFL, flags & ~O_NONBLOCK);
        return new InheritedSocket(descriptor, isListening);
    }

    /// <summary>Listens on it. The descriptor stays open, so that it can be done again.</summary>
    internal UnixListener Listen()
    {
        using var handle = new SafeFileHandle(_descriptor, ownsHandle: false);
        var socket = Duplicate(handle);
        // The runtime looks at how the descriptor was used before.
        socket.Blocking = true;
        return UnixListener.Adopt(socket, $"fd:{_descriptor}");
    }

    /// <summary>Takes the connection, and the descriptor with it: the peer sees its close.</summary>
    internal UnixConnection Connect() => UnixConnection.FromSocket(new Socket(new SafeSocketHandle(_descriptor, ownsHandle: true)));

    /// <summary>A socket on a duplicate of a descriptor; closing it removes no path.</summary>
    internal static Socket Duplicate(SafeHandle handle)
    {
        var copy = Libc.Fcntl(handle, Libc.F_DUPFD_CLOEXEC, FirstFree);
        return copy >= 0 ? new Socket(new SafeSocketHandle(copy, ownsHandle: true)) : throw LibcError.Last("duplicating a socket");
    }

    private static bool HasPeer(Socket socket)
    {
        try
        {
            return socket.RemoteEndPoint is not null;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
