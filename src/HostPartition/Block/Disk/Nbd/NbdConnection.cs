using System.Buffers.Binary;
using System.Net.Sockets;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
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
    private readonly Stream _stream;
    private readonly int _silenceMilliseconds;
    private readonly Lock _sending = new();
    private readonly Lock _slots = new();

    // By the handle that the request carries.
    private readonly NbdRequest?[] _inFlight = new NbdRequest?[MaxRequests];
    private readonly SemaphoreSlim _freeSlots = new(MaxRequests);
    private readonly Thread _reader;
    private long _lastReply = Environment.TickCount64;
    private string? _lossReason;
    private bool _isLost;

    private NbdConnection(Socket socket, Stream stream, NbdExport export, TimeSpan silence)
    {
        _socket = socket;
        _stream = stream;
        _silenceMilliseconds = (int)silence.TotalMilliseconds;
        // A send blocks while the server does not read; so does the encrypted stream's.
        _stream.WriteTimeout = _silenceMilliseconds;
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

    /// <summary>Why the connection was lost.</summary>
    internal string LossReason
    {
        get
        {
            lock (_slots) return _lossReason ?? "it is open";
        }
    }

    /// <summary>Connects and selects the export.</summary>
    /// <param name="address">The export.</param>
    /// <param name="limits">How long it may take.</param>
    /// <param name="stop">Ends the attempt.</param>
    /// <exception cref="IOException">There is no NBD server at the address, it does not answer, or it does not have the export.</exception>
    internal static NbdConnection Open(NbdAddress address, NbdLimits limits, CancellationToken stop)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(stop);
        end.CancelAfter(limits.Connect);
        Socket? socket = null;
        try
        {
            socket = address.Connect(end.Token);
            Stream stream = new NetworkStream(socket, ownsSocket: true);
            NbdExport export;
            using (end.Token.Register(socket.Dispose)) export = NbdHandshake.Run(ref stream, address);
            var connection = new NbdConnection(socket, stream, export, limits.Silence);
            SystemThread.Start(connection._reader);
            return connection;
        }
        catch (Exception e) when (end.IsCancellationRequested && e is not OutOfMemoryException)
        {
            socket?.Dispose();
            throw new IOException($"the NBD server at {address.Text} cannot be used: {(stop.IsCancellationRequested ? "the disk is closed" : $"it did not answer within {limits.Connect.TotalSeconds} s")}", e);
        }
        catch (Exception e) when (e is SocketException or EndOfStreamException or IOException { InnerException: SocketException } or OutOfMemoryException)
        {
            socket?.Dispose();
            throw new IOException($"the NBD server at {address.Text} cannot be used: {(e is EndOfStreamException ? "the server closed the connection during the handshake" : e.Message)}", e);
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
            request.WasSent = TryAddInFlight(request, out var handle);
            if (!request.WasSent) return false;
            var header = request.Buffer.AsSpan(0, RequestBytes);
            BinaryPrimitives.WriteUInt32BigEndian(header, RequestMagic);
            BinaryPrimitives.WriteUInt16BigEndian(header[4..], flags);
            BinaryPrimitives.WriteUInt16BigEndian(header[6..], (ushort)command);
            BinaryPrimitives.WriteUInt64BigEndian(header[8..], (ulong)handle);
            BinaryPrimitives.WriteUInt64BigEndian(header[16..], (ulong)offset);
            BinaryPrimitives.WriteUInt32BigEndian(header[24..], (uint)bytes);
            var sent = Environment.TickCount64;
            try
            {
                lock (_sending) _stream.Write(request.Buffer.AsSpan(0, RequestBytes + (command == NbdCommand.NBD_CMD_WRITE ? bytes : 0)));
            }
            catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
            {
                // The reader thread notices and completes every request in flight.
                Abort(e.Message);
            }
            AwaitReply(request, sent);
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
            // Not to a server that does not read: a sender holds the lock then.
            if (_sending.TryEnter())
            {
                try
                {
                    _stream.Write(disconnect);
                }
                catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
                {
                    // The server has closed the connection already.
                }
                finally
                {
                    _sending.Exit();
                }
            }
        }
        Abort("this disk closed it");
        _reader.Join();
        _stream.Dispose();
    }

    private void AwaitReply(NbdRequest request, long sent)
    {
        while (true)
        {
            var since = Math.Max(sent, Ordered.Load(ref _lastReply));
            var left = since + _silenceMilliseconds - Environment.TickCount64;
            if (left <= 0)
            {
                Abort($"the server has not answered for {_silenceMilliseconds / 1000.0} s");
                left = Timeout.Infinite;
            }
            if (request.Wait((int)left)) return;
        }
    }

    private void Read()
    {
        try
        {
            while (TryReceiveReply()) Ordered.Store(ref _lastReply, Environment.TickCount64);
            Abort("the server violates the protocol");
        }
        catch (Exception e)
        {
            // The requests in flight complete as lost below, whatever has failed.
            Abort(e.Message);
        }
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
        ReceiveAll(_stream, head);
        var handle = BinaryPrimitives.ReadUInt64BigEndian(head[8..]);
        if (BinaryPrimitives.ReadUInt32BigEndian(head) != SimpleReplyMagic || handle >= MaxRequests) return false;
        NbdRequest? request;
        lock (_slots) request = _inFlight[handle];
        if (request is null) return false;
        var error = BinaryPrimitives.ReadUInt32BigEndian(head[4..]);
        if (error == 0 && request.ReadBytes > 0) ReceiveAll(_stream, request.Data(request.ReadBytes));
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

    /// <summary>Closes the connection; requests in flight are lost. Does not block.</summary>
    internal void Abort(string why)
    {
        lock (_slots)
        {
            // The first reason is the cause of the others.
            _lossReason ??= why;
        }
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
