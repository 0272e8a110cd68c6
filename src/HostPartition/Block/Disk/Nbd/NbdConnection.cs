using System.Buffers.Binary;
using System.Net.Sockets;
using static VmShunt.BlockBackend.Disk.Nbd.NbdProtocol;
using static VmShunt.BlockBackend.Disk.Nbd.NbdStream;

namespace VmShunt.BlockBackend.Disk.Nbd;

/// <summary>
/// One connection to an NBD server with many requests in flight. A caller sends its request under a lock and blocks until
/// the reader thread has received the reply. Any thread.
/// </summary>
internal sealed class NbdConnection : IDisposable
{
    private const int MaxRequests = 256;

    private readonly Socket _socket;
    private readonly Lock _sending = new();
    private readonly Lock _slots = new();

    // By the handle that the request carries.
    private readonly NbdRequest?[] _inFlight = new NbdRequest?[MaxRequests];
    private readonly SemaphoreSlim _freeSlots = new(MaxRequests);
    private readonly Thread _reader;
    private bool _isLost;

    private NbdConnection(Socket socket, NbdExport export)
    {
        _socket = socket;
        Export = export;
        _reader = new Thread(Read) { IsBackground = true, Name = "nbd" };
    }

    /// <summary>The export, as the server described it.</summary>
    internal NbdExport Export { get; }

    /// <summary>Whether the connection was closed or broken.</summary>
    internal bool IsLost
    {
        get
        {
            lock (_slots) return _isLost;
        }
    }

    /// <summary>Connects and selects the export.</summary>
    /// <exception cref="IOException">There is no NBD server at the address, or it does not have the export.</exception>
    internal static NbdConnection Open(NbdAddress address)
    {
        Socket? socket = null;
        try
        {
            socket = address.Connect();
            var connection = new NbdConnection(socket, NbdHandshake.Run(socket, address));
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

    /// <summary>Sends a request and blocks until its reply.</summary>
    /// <returns>False when the connection was lost: the server may have executed the request or not.</returns>
    internal bool TryExecute(NbdRequest request, NbdCommand command, ushort flags, long offset, int bytes)
    {
        _freeSlots.Wait();
        try
        {
            request.ReadBytes = command == NbdCommand.NBD_CMD_READ ? bytes : 0;
            if (!TryAddInFlight(request, out var handle)) return false;
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
                // The reader thread notices and completes every request in flight.
                Shutdown();
            }
            request.Wait();
            return !request.IsLost;
        }
        finally
        {
            _freeSlots.Release();
        }
    }

    /// <summary>Sends NBD_CMD_DISC and closes; requests in flight are lost.</summary>
    public void Dispose()
    {
        if (!IsLost)
        {
            Span<byte> disconnect = stackalloc byte[RequestBytes];
            disconnect.Clear();
            BinaryPrimitives.WriteUInt32BigEndian(disconnect, RequestMagic);
            BinaryPrimitives.WriteUInt16BigEndian(disconnect[6..], (ushort)NbdCommand.NBD_CMD_DISC);
            try
            {
                lock (_sending) SendAll(_socket, disconnect);
            }
            catch (SocketException)
            {
                // The server has closed the connection already.
            }
        }
        Shutdown();
        _reader.Join();
        _socket.Dispose();
    }

    private void Read()
    {
        try
        {
            while (TryReceiveReply())
            {
                // Each reply completes one request.
            }
        }
        catch (Exception e) when (e is SocketException or EndOfStreamException or ObjectDisposedException)
        {
            // The requests in flight complete as lost below.
        }
        Shutdown();
        lock (_slots)
        {
            _isLost = true;
            for (var i = 0; i < _inFlight.Length; i++)
            {
                _inFlight[i]?.Complete(0, isLost: true);
                _inFlight[i] = null;
            }
        }
    }

    /// <returns>False when the server violates the protocol: there is no sure start of the next reply.</returns>
    private bool TryReceiveReply()
    {
        Span<byte> head = stackalloc byte[SimpleReplyBytes];
        ReceiveAll(_socket, head);
        var handle = BinaryPrimitives.ReadUInt64BigEndian(head[8..]);
        if (BinaryPrimitives.ReadUInt32BigEndian(head) != SimpleReplyMagic || handle >= MaxRequests) return false;
        NbdRequest? request;
        lock (_slots) request = _inFlight[handle];
        if (request is null) return false;
        var error = BinaryPrimitives.ReadUInt32BigEndian(head[4..]);
        if (error == 0 && request.ReadBytes > 0) ReceiveAll(_socket, request.Data(request.ReadBytes));
        lock (_slots) _inFlight[handle] = null;
        request.Complete(error, isLost: false);
        return true;
    }

    private bool TryAddInFlight(NbdRequest request, out int handle)
    {
        lock (_slots)
        {
            handle = Array.IndexOf(_inFlight, null);
            if (_isLost) return false;
            _inFlight[handle] = request;
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
            // It is shut down already.
        }
    }
}
