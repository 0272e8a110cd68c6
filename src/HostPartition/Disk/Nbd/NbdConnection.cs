using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;
using static VmShunt.HostPartition.Disk.Nbd.NbdProtocol;

namespace VmShunt.HostPartition.Disk.Nbd;

/// <summary>
/// One connection to an NBD server, on which many requests are under way at once: whoever asks sends under a lock and waits
/// for its own answer, which one thread takes off the socket for all. Any thread may ask.
/// </summary>
internal sealed class NbdConnection : IDisposable
{
    private const int MaxRequests = 256, MaxOptionReplyBytes = 64 << 10;

    private readonly Socket _socket;
    private readonly Lock _sending = new();
    private readonly Lock _slots = new();
    private readonly NbdRequest?[] _waiting = new NbdRequest?[MaxRequests];
    private readonly SemaphoreSlim _room = new(MaxRequests);
    private readonly Thread _reader;
    private bool _isLost;

    private NbdConnection(Socket socket, long bytes, ushort flags)
    {
        _socket = socket;
        Bytes = bytes;
        Flags = flags;
        _reader = new Thread(Read) { IsBackground = true, Name = "nbd" };
    }

    /// <summary>The export's size.</summary>
    internal long Bytes { get; }

    /// <summary>The export's transmission flags.</summary>
    internal ushort Flags { get; }

    /// <summary>Whether it is gone.</summary>
    internal bool IsLost
    {
        get
        {
            lock (_slots) return _isLost;
        }
    }

    /// <summary>Connects and chooses the export.</summary>
    /// <exception cref="IOException">Nobody is there, or it is no such server, or it has no such export.</exception>
    internal static NbdConnection Open(NbdAddress address)
    {
        Socket? socket = null;
        try
        {
            socket = address.Connect();
            var (bytes, flags) = Negotiate(socket, address);
            var connection = new NbdConnection(socket, bytes, flags);
            connection._reader.Start();
            return connection;
        }
        catch (Exception e) when (e is SocketException or EndOfStreamException)
        {
            socket?.Dispose();
            throw new IOException($"the NBD server at {address.Text} cannot be used: {e.Message}", e);
        }
        catch
        {
            socket?.Dispose();
            throw;
        }
    }

    /// <summary>Sends a request and waits for its answer.</summary>
    /// <returns>False when the connection was lost: it may have been done or not.</returns>
    internal bool TryDo(NbdRequest request, NbdCommand command, ushort flags, long offset, int bytes)
    {
        _room.Wait();
        try
        {
            request.ReadBytes = command == NbdCommand.NBD_CMD_READ ? bytes : 0;
            if (!TryTakeSlot(request, out var handle)) return false;
            var header = request.Buffer.AsSpan(0, RequestBytes);
            BinaryPrimitives.WriteUInt32BigEndian(header, RequestMagic);
            BinaryPrimitives.WriteUInt16BigEndian(header[4..], flags);
            BinaryPrimitives.WriteUInt16BigEndian(header[6..], (ushort)command);
            BinaryPrimitives.WriteUInt64BigEndian(header[8..], (ulong)handle);
            BinaryPrimitives.WriteUInt64BigEndian(header[16..], (ulong)offset);
            BinaryPrimitives.WriteUInt32BigEndian(header[24..], (uint)bytes);
            try
            {
                lock (_sending) SendAll(_socket, request.Buffer.AsSpan(0, RequestBytes + (command == NbdCommand.NBD_CMD_WRITE ? bytes : 0)));
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // The reader sees it too, and ends every request that waits.
                Shutdown();
            }
            request.Wait();
            return !request.IsLost;
        }
        finally
        {
            _room.Release();
        }
    }

    /// <summary>Says goodbye; requests under way are lost.</summary>
    public void Dispose()
    {
        if (!IsLost)
        {
            Span<byte> goodbye = stackalloc byte[RequestBytes];
            goodbye.Clear();
            BinaryPrimitives.WriteUInt32BigEndian(goodbye, RequestMagic);
            BinaryPrimitives.WriteUInt16BigEndian(goodbye[6..], (ushort)NbdCommand.NBD_CMD_DISC);
            try
            {
                lock (_sending) SendAll(_socket, goodbye);
            }
            catch (SocketException)
            {
                // It is gone already.
            }
        }
        Shutdown();
        _reader.Join();
        _socket.Dispose();
    }

    private static (long Bytes, ushort Flags) Negotiate(Socket socket, NbdAddress address)
    {
        Span<byte> hello = stackalloc byte[18];
        ReceiveAll(socket, hello);
        var serverFlags = BinaryPrimitives.ReadUInt16BigEndian(hello[16..]);
        if (BinaryPrimitives.ReadUInt64BigEndian(hello) != NBDMAGIC || BinaryPrimitives.ReadUInt64BigEndian(hello[8..]) != IHAVEOPT || (serverFlags & NBD_FLAG_FIXED_NEWSTYLE) == 0)
            throw new IOException($"what listens at {address.Text} is no NBD server of the fixed newstyle");

        var name = Encoding.UTF8.GetBytes(address.Export);
        var go = new byte[4 + 16 + 4 + name.Length + 2 + 2];
        BinaryPrimitives.WriteUInt32BigEndian(go, (uint)(serverFlags & (NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES)));
        BinaryPrimitives.WriteUInt64BigEndian(go.AsSpan(4), IHAVEOPT);
        BinaryPrimitives.WriteUInt32BigEndian(go.AsSpan(12), NBD_OPT_GO);
        BinaryPrimitives.WriteUInt32BigEndian(go.AsSpan(16), (uint)(4 + name.Length + 2 + 2));
        BinaryPrimitives.WriteUInt32BigEndian(go.AsSpan(20), (uint)name.Length);
        name.CopyTo(go, 24);
        BinaryPrimitives.WriteUInt16BigEndian(go.AsSpan(24 + name.Length), 1);
        BinaryPrimitives.WriteUInt16BigEndian(go.AsSpan(26 + name.Length), NBD_INFO_BLOCK_SIZE);
        SendAll(socket, go);

        (long Bytes, ushort Flags)? export = null;
        Span<byte> head = stackalloc byte[20];
        while (true)
        {
            ReceiveAll(socket, head);
            var (type, length) = (BinaryPrimitives.ReadUInt32BigEndian(head[12..]), BinaryPrimitives.ReadUInt32BigEndian(head[16..]));
            if (BinaryPrimitives.ReadUInt64BigEndian(head) != OptionReplyMagic || length > MaxOptionReplyBytes)
                throw new IOException($"the NBD server at {address.Text} answers what was not asked");
            var data = new byte[length];
            ReceiveAll(socket, data);
            if ((type & NBD_REP_FLAG_ERROR) != 0)
                throw new IOException($"the NBD server at {address.Text} refuses the export '{address.Export}': {(length > 0 ? Encoding.UTF8.GetString(data) : $"error {type & ~NBD_REP_FLAG_ERROR}")}");
            if (type == NBD_REP_ACK) return export ?? throw new IOException($"the NBD server at {address.Text} does not describe the export '{address.Export}'");
            if (type != NBD_REP_INFO || length < 2) continue;
            var info = BinaryPrimitives.ReadUInt16BigEndian(data);
            if (info == NBD_INFO_EXPORT && length >= 12)
            {
                var bytes = BinaryPrimitives.ReadUInt64BigEndian(data.AsSpan(2));
                if (bytes is 0 or > long.MaxValue) throw new IOException($"the export {address.Text} holds {bytes} bytes, which is no disk");
                export = ((long)bytes, BinaryPrimitives.ReadUInt16BigEndian(data.AsSpan(10)));
            }
            if (info == NBD_INFO_BLOCK_SIZE && length >= 6 && BinaryPrimitives.ReadUInt32BigEndian(data.AsSpan(2)) is var least && least > HostClassDriver.SectorBytes)
                throw new IOException($"the export {address.Text} takes blocks of {least} bytes only; sectors of {HostClassDriver.SectorBytes} are needed");
        }
    }

    private void Read()
    {
        try
        {
            Span<byte> head = stackalloc byte[SimpleReplyBytes];
            while (true)
            {
                ReceiveAll(_socket, head);
                var handle = BinaryPrimitives.ReadUInt64BigEndian(head[8..]);
                if (BinaryPrimitives.ReadUInt32BigEndian(head) != SimpleReplyMagic || handle >= MaxRequests) break;
                NbdRequest? request;
                lock (_slots) request = _waiting[handle];
                if (request is null) break;
                var error = BinaryPrimitives.ReadUInt32BigEndian(head[4..]);
                if (error == 0 && request.ReadBytes > 0) ReceiveAll(_socket, request.Data(request.ReadBytes));
                lock (_slots) _waiting[handle] = null;
                request.End(error, isLost: false);
            }
        }
        catch (Exception e) when (e is SocketException or EndOfStreamException or ObjectDisposedException)
        {
            // What waits is ended below.
        }
        Shutdown();
        lock (_slots)
        {
            _isLost = true;
            for (var i = 0; i < _waiting.Length; i++)
            {
                _waiting[i]?.End(0, isLost: true);
                _waiting[i] = null;
            }
        }
    }

    private bool TryTakeSlot(NbdRequest request, out int handle)
    {
        lock (_slots)
        {
            handle = Array.IndexOf(_waiting, null);
            if (_isLost) return false;
            _waiting[handle] = request;
            return true;
        }
    }

    private void Shutdown()
    {
        try
        {
            _socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // It is down.
        }
    }

    private static void SendAll(Socket socket, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0) bytes = bytes[socket.Send(bytes)..];
    }

    private static void ReceiveAll(Socket socket, Span<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            var here = socket.Receive(bytes);
            if (here == 0) throw new EndOfStreamException("it closed the connection");
            bytes = bytes[here..];
        }
    }
}
