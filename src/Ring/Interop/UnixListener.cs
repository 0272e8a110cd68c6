using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;

namespace VmShunt.Ring.Interop;

/// <summary>
/// A listening Unix stream socket. Disposing it removes its path, unless it was adopted, or the path names a socket of another
/// process by now.
/// </summary>
public sealed class UnixListener : IDisposable
{
    // The size of sun_path, less its terminating zero (unix(7)).
    private const int MaxPathBytes = 107;

    private const int Backlog = 128;

    private readonly Socket _socket;
    private readonly string _name;
    private readonly (ulong Device, ulong Inode)? _file;

    private UnixListener(Socket socket, string name, (ulong Device, ulong Inode)? file)
    {
        _socket = socket;
        _name = name;
        _file = file;
    }

    /// <summary>The descriptor, readable when a client has connected; owned by this object.</summary>
    public SafeHandle Handle => _socket.SafeHandle;

    /// <summary>Listens on a path. Replaces the socket of a process that has exited, but not one that a process listens on.</summary>
    /// <exception cref="IOException">The path is in use, is not a socket, or cannot be created.</exception>
    public static UnixListener Bind(string path)
    {
        try
        {
            CheckPlace(path);
            RemoveStale(path);
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            // Not by Socket.Bind, whose socket removes the path when it closes, even if another process has its socket there by then.
            Span<byte> address = stackalloc byte[sizeof(ushort) + MaxPathBytes + 1];
            address.Clear();
            MemoryMarshal.Write(address, (ushort)Libc.AF_UNIX);
            Encoding.UTF8.GetBytes(path, address[sizeof(ushort)..]);
            if (Libc.Bind(socket.SafeHandle, address[0], address.Length) < 0 || Libc.Listen(socket.SafeHandle, Backlog) < 0) throw LibcError.Last($"listening on {path}");
            return new UnixListener(InheritedSocket.Duplicate(socket.SafeHandle), path, FileOf(path));
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            throw new IOException($"cannot listen on {path}: {e.Message}", e);
        }
    }

    /// <summary>Blocks until a client connects.</summary>
    /// <exception cref="IOException">The listener was closed, or no descriptor is left.</exception>
    public UnixConnection Accept()
    {
        try
        {
            return UnixConnection.FromSocket(_socket.Accept());
        }
        catch (Exception e) when (e is SocketException or InvalidOperationException)
        {
            // An adopted socket does not block if another process that has it chose so: without a connection that is an InvalidOperationException.
            throw new IOException($"cannot accept a connection on {_name}: {e.Message}", e);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // Before the socket closes: afterwards another process may replace it.
        try
        {
            if (_file is { } own && FileOf(_name) == own) File.Delete(_name);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The folder cannot be written to any more. A socket that has no listener is replaced by the next one.
        }
        _socket.Dispose();
    }

    /// <summary>Listens on a socket that another process made.</summary>
    /// <param name="socket">Listening; owned.</param>
    /// <param name="name">Its name in messages.</param>
    internal static UnixListener Adopt(Socket socket, string name) => new(socket, name, file: null);

    /// <exception cref="IOException">The path is too long for a socket.</exception>
    internal static void CheckLength(string path, string purpose)
    {
        var bytes = Encoding.UTF8.GetByteCount(path);
        if (bytes > MaxPathBytes)
            throw new IOException($"cannot {purpose} {path}: the path has {bytes} bytes, and a socket's has at most {MaxPathBytes}; choose a shorter one, or one relative to the current folder");
    }

    private static (ulong Device, ulong Inode)? FileOf(string path) => StatX.TryGet(path, StatX.STATX_INO, out var status) ? (status.Device, status.Inode) : null;

    // The system's own messages for these do not say what is wrong.
    private static void CheckPlace(string path)
    {
        CheckLength(path, "listen on");
        if (Path.GetDirectoryName(path) is { Length: > 0 } folder && !Directory.Exists(folder))
            throw new IOException($"cannot listen on {path}: there is no folder {folder}; create it, or choose another path");
    }

    private static void RemoveStale(string path)
    {
        if (!File.Exists(path)) return;
        // A connect alone cannot distinguish them: it is refused by a regular file too, which must never be deleted, even if it is empty.
        if (!StatX.IsSocket(path))
            throw new IOException($"cannot listen on {path}: a file of that name exists and is not a socket");
        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused)
        {
            File.Delete(path);
            return;
        }
        catch (SocketException e)
        {
            throw new IOException($"cannot listen on {path}: a file of that name exists and cannot be connected to ({e.Message})", e);
        }
        throw new IOException($"cannot listen on {path}: another process is listening there; choose another path or stop it");
    }
}
