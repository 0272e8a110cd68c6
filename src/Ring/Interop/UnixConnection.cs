using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Ring.Interop;

/// <summary>
/// One end of a Unix stream socket whose messages may carry file descriptors (<c>SCM_RIGHTS</c>). Calls block.
/// One thread may send while another receives; any thread may call <see cref="Shutdown"/>, which wakes both.
/// </summary>
public sealed class UnixConnection : IDisposable
{
    /// <summary>The most descriptors that one message may carry.</summary>
    public const int MaxDescriptors = 32;

    // The timeout is made of several waits: a process that was stopped meanwhile then still has time left when it continues.
    private const int WaitsPerTimeout = 8;

    private const int RetryMilliseconds = 2;

    // CMSG_SPACE of the most descriptors.
    private const int ControlHeaderBytes = 16, MaxControlBytes = ControlHeaderBytes + sizeof(int) * MaxDescriptors;

    private readonly SafeFileHandle _handle;

    // Set before the connection is shared between threads.
    private TimeSpan _timeout;

    private UnixConnection(SafeFileHandle handle) => _handle = handle;

    /// <summary>
    /// The socket's descriptor, for a <see cref="WaitSet"/> or to pass on; owned by this object. It closes when the last
    /// reference on it is released.
    /// </summary>
    public SafeHandle Handle => _handle;

    /// <summary>
    /// Takes the connection out of a <see cref="Socket"/>. The socket's own handle would spin on disposal until every
    /// reference on it is released, so a thread that is blocked on the descriptor would delay the disposal forever.
    /// </summary>
    internal static UnixConnection FromSocket(Socket socket)
    {
        using (socket)
        {
            var fd = Libc.Fcntl(socket.SafeHandle, Libc.F_DUPFD_CLOEXEC, 0);
            return fd >= 0 ? FromDescriptor(new SafeFileHandle(fd, ownsHandle: true)) : throw LibcError.Last("duplicating a socket");
        }
    }

    /// <summary>Connects to a listening socket.</summary>
    /// <param name="path">The socket.</param>
    /// <param name="responseTimeout">How long the peer may take to accept the connection, and later for each answer; zero: no limit.</param>
    /// <exception cref="IOException">No process listens there; the message names the path.</exception>
    public static UnixConnection Connect(string path, TimeSpan responseTimeout = default)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.SendTimeout = (int)responseTimeout.TotalMilliseconds;
            socket.Connect(new UnixDomainSocketEndPoint(path));
            var connection = FromSocket(socket);
            connection.SetTimeout(responseTimeout);
            return connection;
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            socket.Dispose();
            // .NET reports a missing path as "Cannot assign requested address".
            var why = e is SocketException { SocketErrorCode: SocketError.AddressNotAvailable } ? "there is no such socket" : e.Message;
            throw new IOException($"cannot connect to {path}: {why}", e);
        }
    }

    /// <summary>Connects, and retries while no process listens: client and server may be started in any order.</summary>
    /// <param name="path">The socket.</param>
    /// <param name="connectTimeout">How long to retry; zero: fail at once.</param>
    /// <param name="responseTimeout">As in <see cref="Connect"/>.</param>
    /// <exception cref="IOException">No process listens there in time, or the path cannot be a socket's; the message names it.</exception>
    public static UnixConnection ConnectWithRetry(string path, TimeSpan connectTimeout, TimeSpan responseTimeout = default)
    {
        var start = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                return Connect(path, responseTimeout);
            }
            catch (IOException e) when (HasNoListener(e) && Stopwatch.GetElapsedTime(start) < connectTimeout)
            {
                // To check for the file is cheaper than an exception per retry.
                do Thread.Sleep(RetryMilliseconds);
                while (!File.Exists(path) && Stopwatch.GetElapsedTime(start) < connectTimeout);
            }
        }
    }

    /// <summary>Whether a connect failed because no process listens: no such file, or one that a killed server left behind.</summary>
    public static bool HasNoListener(IOException error) =>
        error?.InnerException is SocketException { SocketErrorCode: SocketError.AddressNotAvailable or SocketError.ConnectionRefused };

    /// <summary>
    /// Sets a timeout: from now on a send or receive throws when the peer is not ready for this long. A message may then be
    /// transferred in part, so the connection is of no further use.
    /// </summary>
    /// <param name="timeout">Zero: no limit.</param>
    public void SetTimeout(TimeSpan timeout)
    {
        _timeout = timeout;
        var microseconds = (long)Math.Ceiling(timeout.TotalMicroseconds / WaitsPerTimeout);
        var wait = new Libc.TimeVal { Seconds = microseconds / 1_000_000, Microseconds = microseconds % 1_000_000 };
        var bytes = (uint)Unsafe.SizeOf<Libc.TimeVal>();
        if (Libc.SetSockOpt(_handle, Libc.SOL_SOCKET, Libc.SO_RCVTIMEO, in wait, bytes) < 0
            || Libc.SetSockOpt(_handle, Libc.SOL_SOCKET, Libc.SO_SNDTIMEO, in wait, bytes) < 0)
            throw LibcError.Last("setting the timeouts of a socket");
    }

    /// <summary>
    /// The process that made the other end: it connected, or it listened when this end connected. 0 when it is not in this
    /// process's PID namespace.
    /// </summary>
    /// <exception cref="IOException">The system does not report it.</exception>
    public int PeerProcessId
    {
        get
        {
            var length = (uint)Unsafe.SizeOf<Libc.Credentials>();
            return Libc.GetSockOpt(_handle, Libc.SOL_SOCKET, Libc.SO_PEERCRED, out var peer, ref length) == 0
                ? peer.ProcessId
                : throw LibcError.Last("reading the credentials of a socket's peer");
        }
    }

    /// <summary>Takes ownership of a connected socket that arrived as a descriptor.</summary>
    public static UnixConnection FromDescriptor(SafeFileHandle descriptor)
    {
        ArgumentNullException.ThrowIfNull(descriptor);
        return new UnixConnection(descriptor);
    }

    /// <summary>Two connected ends (<c>socketpair(2)</c>).</summary>
    /// <exception cref="IOException">The system has no descriptors left.</exception>
    public static (UnixConnection, UnixConnection) CreatePair()
    {
        Span<int> pair = stackalloc int[2];
        if (Libc.SocketPair(Libc.AF_UNIX, Libc.SOCK_STREAM | Libc.SOCK_CLOEXEC, 0, ref pair[0]) < 0) throw LibcError.Last("creating a pair of sockets");
        return (FromDescriptor(new SafeFileHandle(pair[0], ownsHandle: true)), FromDescriptor(new SafeFileHandle(pair[1], ownsHandle: true)));
    }

    /// <summary>Sends all bytes, with descriptors attached to the first. The caller keeps the descriptors.</summary>
    /// <exception cref="IOException">The peer disconnected.</exception>
    public void Send(ReadOnlySpan<byte> bytes, ReadOnlySpan<SafeHandle> descriptors = default)
    {
        var waits = 0;
        while (!bytes.IsEmpty)
        {
            var n = descriptors.IsEmpty ? SendSome(bytes, Libc.MSG_NOSIGNAL) : SendWithDescriptors(bytes, descriptors);
            if (n >= 0)
            {
                bytes = bytes[(int)n..];
                descriptors = default;
            }
            else if (!ShouldRetry(ref waits))
            {
                throw LibcError.Last("sending to a socket");
            }
        }
    }

    /// <summary>Sends a short message if that does not block; all of it or nothing.</summary>
    /// <returns>False when the peer does not read or disconnected, or this is not a socket.</returns>
    public bool TrySend(ReadOnlySpan<byte> bytes) => SendSome(bytes, Libc.MSG_NOSIGNAL | Libc.MSG_DONTWAIT) == bytes.Length;

    /// <summary>Whether this end may still send. Sends an empty message to find out.</summary>
    internal bool CanSend => SendSome(default, Libc.MSG_NOSIGNAL | Libc.MSG_DONTWAIT) == 0;

    private nint SendSome(ReadOnlySpan<byte> bytes, int flags)
    {
        SocketMessage.Header header = default;
        return Libc.SendMsg(_handle, new SocketMessage(ref header, bytes, default), flags);
    }

    private nint SendWithDescriptors(ReadOnlySpan<byte> bytes, ReadOnlySpan<SafeHandle> descriptors)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(descriptors.Length, MaxDescriptors);
        Span<byte> control = stackalloc byte[MaxControlBytes];
        var payload = sizeof(int) * descriptors.Length;
        MemoryMarshal.Write(control, new SocketMessage.ControlHeader { Length = (nuint)(ControlHeaderBytes + payload), Level = Libc.SOL_SOCKET, Type = Libc.SCM_RIGHTS });
        var numbers = MemoryMarshal.Cast<byte, int>(control[ControlHeaderBytes..]);
        for (var i = 0; i < descriptors.Length; i++) numbers[i] = (int)descriptors[i].DangerousGetHandle();
        SocketMessage.Header header = default;
        var sent = Libc.SendMsg(_handle, new SocketMessage(ref header, bytes, control[..(ControlHeaderBytes + Padded(payload))]), Libc.MSG_NOSIGNAL);
        foreach (var descriptor in descriptors) GC.KeepAlive(descriptor);
        return sent;
    }

    /// <summary>Receives the available bytes; blocks until there is at least one.</summary>
    /// <param name="buffer">Where the bytes go; not empty.</param>
    /// <param name="descriptors">Receives the descriptors of the message; without it they are closed at once.</param>
    /// <returns>The number of bytes; 0 when the peer has closed its end.</returns>
    /// <exception cref="IOException">The connection failed.</exception>
    public int Receive(Span<byte> buffer, DescriptorQueue? descriptors = null)
    {
        Span<byte> control = stackalloc byte[MaxControlBytes];
        var waits = 0;
        while (true)
        {
            SocketMessage.Header header = default;
            var n = Libc.RecvMsg(_handle, new SocketMessage(ref header, buffer, control), Libc.MSG_CMSG_CLOEXEC);
            if (n >= 0)
            {
                AcceptDescriptors(control[..(int)header.ControlLength], descriptors);
                return (int)n;
            }
            if (!ShouldRetry(ref waits)) throw LibcError.Last("receiving from a socket");
        }
    }

    /// <summary>Receives exactly the buffer's length.</summary>
    /// <returns>False when the peer closed its end before the first byte.</returns>
    /// <exception cref="IOException">The connection failed, or closed within the message.</exception>
    public bool ReceiveExactly(Span<byte> buffer, DescriptorQueue? descriptors = null)
    {
        var received = 0;
        while (received < buffer.Length)
        {
            var n = Receive(buffer[received..], descriptors);
            if (n == 0)
            {
                return received == 0
                    ? false
                    : throw new IOException($"the connection closed after {received} of {buffer.Length} bytes of a message");
            }
            received += n;
        }
        return true;
    }

    /// <summary>Closes this end for sending: the peer reads end-of-file. This end can still receive.</summary>
    public void ShutdownSend() => TryShutdown(Libc.SHUT_WR);

    /// <summary>Closes this end for receiving: the peer cannot send any more. This end can still send.</summary>
    /// <returns>False when it is not a connected socket, or closed.</returns>
    public bool TryShutdownReceive() => TryShutdown(Libc.SHUT_RD);

    /// <summary>Closes both directions; threads that are blocked in <see cref="Receive"/> return. A second call has no effect.</summary>
    public void Shutdown() => TryShutdown(Libc.SHUT_RDWR);

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();

    private bool ShouldRetry(ref int waits)
    {
        if (LibcError.Interrupted) return true;
        if (!LibcError.WouldBlock || _timeout == TimeSpan.Zero) return false;
        return ++waits < WaitsPerTimeout ? true : throw new IOException($"the peer did nothing for {_timeout.TotalSeconds:0.###} s");
    }

    private bool TryShutdown(int how)
    {
        try
        {
            return Libc.Shutdown(_handle, how) == 0;
        }
        catch (ObjectDisposedException)
        {
            // Another thread disposed the connection first.
            return false;
        }
    }

    // Control messages are aligned to the size of a word.
    private static int Padded(int bytes) => (bytes + 7) / 8 * 8;

    private static void AcceptDescriptors(ReadOnlySpan<byte> control, DescriptorQueue? target)
    {
        while (control.Length >= ControlHeaderBytes)
        {
            var header = MemoryMarshal.Read<SocketMessage.ControlHeader>(control);
            if (header.Length < ControlHeaderBytes || header.Length > (nuint)control.Length) return;
            var size = (int)header.Length;
            if (header.Level == Libc.SOL_SOCKET && header.Type == Libc.SCM_RIGHTS)
            {
                foreach (var fd in MemoryMarshal.Cast<byte, int>(control[ControlHeaderBytes..size]))
                {
                    var handle = new SafeFileHandle(fd, ownsHandle: true);
                    if (target is null) handle.Dispose();
                    else target.Add(handle);
                }
            }
            control = control[Math.Min(Padded(size), control.Length)..];
        }
    }
}
