using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Ring.Interop;

/// <summary>
/// One end of a Unix stream socket whose messages may carry file descriptors (<c>SCM_RIGHTS</c>). Calls block.
/// One thread may send while another receives; <see cref="Shutdown"/> may be called from any thread and ends both.
/// </summary>
public sealed unsafe class UnixConnection : IDisposable
{
    /// <summary>The most descriptors that one message may carry here.</summary>
    public const int MaxDescriptors = 32;

    // A wait is made of several, so that a process which was itself stopped meanwhile does not find the time gone.
    private const int WaitsPerLimit = 8;

    private const int LookMilliseconds = 2;

    private readonly SafeFileHandle _handle;
    private TimeSpan _patience;

    private UnixConnection(SafeFileHandle handle) => _handle = handle;

    /// <summary>
    /// The socket's descriptor, for a <see cref="WaitSet"/> or to pass on; owned by this object. It closes once nobody
    /// holds a reference on it.
    /// </summary>
    public SafeHandle Handle => _handle;

    /// <summary>
    /// Takes the connection out of a <see cref="Socket"/>, whose own handle waits on disposal, spinning, until every
    /// reference on it is gone: a thread that sleeps on the descriptor would hold it up for ever.
    /// </summary>
    internal static UnixConnection TakeOver(Socket socket)
    {
        using (socket)
        {
            var fd = Libc.Fcntl(socket.SafeHandle, Libc.F_DUPFD_CLOEXEC, 0);
            return fd >= 0 ? FromDescriptor(new SafeFileHandle(fd, ownsHandle: true)) : throw LibcError.Last("duplicating a socket");
        }
    }

    /// <summary>Connects to a listening socket.</summary>
    /// <param name="path">The socket.</param>
    /// <param name="patience">How long the peer may take to make room for the connection, and afterwards over each answer; by default any time.</param>
    /// <exception cref="IOException">Nobody listens there; the message names the path.</exception>
    public static UnixConnection Connect(string path, TimeSpan patience = default)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.SendTimeout = (int)patience.TotalMilliseconds;
            socket.Connect(new UnixDomainSocketEndPoint(path));
            var connection = TakeOver(socket);
            connection.LimitWaits(patience);
            return connection;
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            socket.Dispose();
            // .NET words a missing path as "Cannot assign requested address".
            var why = e is SocketException { SocketErrorCode: SocketError.AddressNotAvailable } ? "there is no such socket" : e.Message;
            throw new IOException($"cannot connect to {path}: {why}", e);
        }
    }

    /// <summary>Connects to a socket as soon as somebody listens there, so that client and server may be started in any order.</summary>
    /// <param name="path">The socket.</param>
    /// <param name="wait">How long nobody may listen; zero is not to wait.</param>
    /// <param name="patience">As in the other form, once somebody listens.</param>
    /// <exception cref="IOException">Nobody came to listen there, or the path cannot be that of a socket; the message names it.</exception>
    public static UnixConnection ConnectWhenServed(string path, TimeSpan wait, TimeSpan patience = default)
    {
        var start = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                return Connect(path, patience);
            }
            catch (IOException e) when (IsUnserved(e) && Stopwatch.GetElapsedTime(start) < wait)
            {
                // To look for the file costs less than an exception each time.
                do Thread.Sleep(LookMilliseconds);
                while (!File.Exists(path) && Stopwatch.GetElapsedTime(start) < wait);
            }
        }
    }

    // No such file, or one that a server which is gone left behind.
    private static bool IsUnserved(IOException error) =>
        error.InnerException is SocketException { SocketErrorCode: SocketError.AddressNotAvailable or SocketError.ConnectionRefused };

    /// <summary>
    /// From now on a send or receive throws when the peer is not ready for so long. Afterwards the stream's place is not
    /// known, so there is nothing more to do with the connection.
    /// </summary>
    /// <param name="patience">How long; zero is for ever.</param>
    public void LimitWaits(TimeSpan patience)
    {
        _patience = patience;
        var microseconds = (long)Math.Ceiling(patience.TotalMicroseconds / WaitsPerLimit);
        var time = new Libc.TimeVal { Seconds = microseconds / 1_000_000, Microseconds = microseconds % 1_000_000 };
        if (Libc.SetSockOpt(_handle, Libc.SOL_SOCKET, Libc.SO_RCVTIMEO, &time, (uint)sizeof(Libc.TimeVal)) < 0
            || Libc.SetSockOpt(_handle, Libc.SOL_SOCKET, Libc.SO_SNDTIMEO, &time, (uint)sizeof(Libc.TimeVal)) < 0)
            throw LibcError.Last("limiting the waits of a socket");
    }

    /// <summary>
    /// The process at the other end, as the system knows it: the one that connected, or that listened when this end did;
    /// 0 if it is not among the processes that this one can see.
    /// </summary>
    /// <exception cref="IOException">The system does not say.</exception>
    public int PeerProcessId
    {
        get
        {
            // struct ucred: pid, uid, gid (unix(7)).
            var credentials = stackalloc int[3];
            uint length = 3 * sizeof(int);
            return Libc.GetSockOpt(_handle, Libc.SOL_SOCKET, Libc.SO_PEERCRED, credentials, &length) == 0 ? credentials[0] : throw LibcError.Last("asking for a socket's peer");
        }
    }

    /// <summary>Takes ownership of a connected socket that a peer passed as a descriptor.</summary>
    public static UnixConnection FromDescriptor(SafeFileHandle descriptor)
    {
        ArgumentNullException.ThrowIfNull(descriptor);
        return new UnixConnection(descriptor);
    }

    /// <summary>Two connected ends (<c>socketpair(2)</c>).</summary>
    /// <exception cref="IOException">The system refused.</exception>
    public static (UnixConnection, UnixConnection) CreatePair()
    {
        var pair = stackalloc int[2];
        if (Libc.SocketPair(Libc.AF_UNIX, Libc.SOCK_STREAM | Libc.SOCK_CLOEXEC, 0, pair) < 0) throw LibcError.Last("making a pair of sockets");
        return (FromDescriptor(new SafeFileHandle(pair[0], ownsHandle: true)), FromDescriptor(new SafeFileHandle(pair[1], ownsHandle: true)));
    }

    /// <summary>Sends all bytes, with descriptors attached to the first. The descriptors stay the caller's.</summary>
    /// <exception cref="IOException">The peer is gone.</exception>
    public void Send(ReadOnlySpan<byte> bytes, ReadOnlySpan<SafeHandle> descriptors = default)
    {
        if (bytes.IsEmpty) return;
        fixed (byte* data = bytes)
        {
            int sent = 0, waits = 0;
            while (sent < bytes.Length)
            {
                var n = SendPart(data + sent, bytes.Length - sent, sent == 0 ? descriptors : default);
                if (n >= 0) sent += (int)n;
                else if (!MayGoOn(ref waits)) throw LibcError.Last("sending to a socket");
            }
        }
    }

    /// <summary>Sends a short message if it goes out at once and whole; never waits.</summary>
    /// <returns>False when the peer does not read, is gone, or is no socket.</returns>
    public bool TrySend(ReadOnlySpan<byte> bytes)
    {
        fixed (byte* data = bytes)
        {
            var vector = new IoVector((nint)data, (nuint)bytes.Length);
            var message = new Libc.MsgHdr { Iov = &vector, IovCount = 1 };
            return Libc.SendMsg(_handle, &message, Libc.MSG_NOSIGNAL | Libc.MSG_DONTWAIT) == bytes.Length;
        }
    }

    /// <summary>Whether this end may still send; an empty message asks.</summary>
    internal bool CanSend
    {
        get
        {
            var message = default(Libc.MsgHdr);
            return Libc.SendMsg(_handle, &message, Libc.MSG_NOSIGNAL | Libc.MSG_DONTWAIT) == 0;
        }
    }

    private nint SendPart(byte* data, int length, ReadOnlySpan<SafeHandle> descriptors)
    {
        var vector = new IoVector((nint)data, (nuint)length);
        var message = new Libc.MsgHdr { Iov = &vector, IovCount = 1 };
        if (descriptors.IsEmpty) return Libc.SendMsg(_handle, &message, Libc.MSG_NOSIGNAL);

        ArgumentOutOfRangeException.ThrowIfGreaterThan(descriptors.Length, MaxDescriptors);
        var control = stackalloc byte[ControlBytes(MaxDescriptors)];
        *(nuint*)control = (nuint)(ControlHeader + sizeof(int) * descriptors.Length);
        *(int*)(control + 8) = Libc.SOL_SOCKET;
        *(int*)(control + 12) = Libc.SCM_RIGHTS;
        for (var i = 0; i < descriptors.Length; i++)
            *(int*)(control + ControlHeader + sizeof(int) * i) = (int)descriptors[i].DangerousGetHandle();
        message.Control = control;
        message.ControlLength = (nuint)ControlBytes(descriptors.Length);
        var sent = Libc.SendMsg(_handle, &message, Libc.MSG_NOSIGNAL);
        foreach (var descriptor in descriptors) GC.KeepAlive(descriptor);
        return sent;
    }

    /// <summary>Receives what is there, waiting for at least one byte; descriptors go into <paramref name="descriptors"/>.</summary>
    /// <param name="buffer">Where the bytes go; not empty.</param>
    /// <param name="descriptors">Receives descriptors that came along; without it they are closed at once.</param>
    /// <returns>The number of bytes; 0 when the peer has closed its end.</returns>
    /// <exception cref="IOException">The connection failed.</exception>
    public int Receive(Span<byte> buffer, DescriptorQueue? descriptors = null)
    {
        var control = stackalloc byte[ControlBytes(MaxDescriptors)];
        var waits = 0;
        fixed (byte* data = buffer)
        {
            while (true)
            {
                var vector = new IoVector((nint)data, (nuint)buffer.Length);
                var message = new Libc.MsgHdr
                {
                    Iov = &vector,
                    IovCount = 1,
                    Control = control,
                    ControlLength = (nuint)ControlBytes(MaxDescriptors),
                };
                var n = Libc.RecvMsg(_handle, &message, Libc.MSG_CMSG_CLOEXEC);
                if (n >= 0)
                {
                    TakeDescriptors(control, (int)message.ControlLength, descriptors);
                    return (int)n;
                }
                if (!MayGoOn(ref waits)) throw LibcError.Last("receiving from a socket");
            }
        }
    }

    /// <summary>Receives exactly the buffer's length.</summary>
    /// <returns>False when the peer closed its end before the first byte.</returns>
    /// <exception cref="IOException">The connection failed, or ended inside the message.</exception>
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
                    : throw new IOException($"the connection ended after {received} of {buffer.Length} bytes of a message");
            }
            received += n;
        }
        return true;
    }

    /// <summary>Ends this end's sending; the peer reads end-of-file. Receiving goes on.</summary>
    public void ShutdownSend() => TryShutdown(Libc.SHUT_WR);

    /// <summary>Ends this end's receiving; the peer can send no more. Sending goes on.</summary>
    /// <returns>False when it is no connected socket, or closed.</returns>
    public bool TryShutdownReceive() => TryShutdown(Libc.SHUT_RD);

    /// <summary>Ends both directions; threads blocked in <see cref="Receive"/> return. A connection that is down already stays so.</summary>
    public void Shutdown() => TryShutdown(Libc.SHUT_RDWR);

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();

    private bool MayGoOn(ref int waits)
    {
        if (LibcError.Interrupted) return true;
        if (!LibcError.WouldWait || _patience == TimeSpan.Zero) return false;
        return ++waits < WaitsPerLimit ? true : throw new IOException($"the peer did nothing for {_patience.TotalSeconds:0.###} s");
    }

    private bool TryShutdown(int how)
    {
        try
        {
            return Libc.Shutdown(_handle, how) == 0;
        }
        catch (ObjectDisposedException)
        {
            // Another thread was faster: the connection is closed.
            return false;
        }
    }

    private const int ControlHeader = 16;

    private static int ControlBytes(int descriptors) => ControlHeader + (sizeof(int) * descriptors + 7) / 8 * 8;

    private static void TakeDescriptors(byte* control, int length, DescriptorQueue? target)
    {
        var at = 0;
        while (at + ControlHeader <= length)
        {
            var size = (int)*(nuint*)(control + at);
            if (size < ControlHeader || at + size > length) return;
            if (*(int*)(control + at + 8) == Libc.SOL_SOCKET && *(int*)(control + at + 12) == Libc.SCM_RIGHTS)
            {
                for (var fd = at + ControlHeader; fd + sizeof(int) <= at + size; fd += sizeof(int))
                {
                    var handle = new SafeFileHandle(*(int*)(control + fd), ownsHandle: true);
                    if (target is null) handle.Dispose();
                    else target.Add(handle);
                }
            }
            at += (size + 7) / 8 * 8;
        }
    }
}
