using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;
using VmShunt.BlockBackend.Disk.Nbd;
using static VmShunt.BlockBackend.Disk.Nbd.NbdProtocol;

namespace VmShunt.Tests.HostPartition.Block.Disk.Nbd;

/// <summary>A request, as a server receives it.</summary>
internal sealed record ReceivedRequest(ushort Flags, NbdCommand Command, ulong Handle, long Offset, int Bytes, byte[] Data);

/// <summary>A server's end of an NBD connection, message by message.</summary>
internal sealed class NbdPeer(Socket socket) : IDisposable
{
    private readonly NetworkStream _stream = new(socket);

    internal const ushort HasFlags = 1, AllCommands = HasFlags | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES;

    internal void Send(params ReadOnlySpan<byte> bytes) => _stream.Write(bytes);

    internal void Greet(ulong magic = NBDMAGIC, ulong option = IHAVEOPT, ushort flags = NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES)
    {
        var greeting = new byte[18];
        BinaryPrimitives.WriteUInt64BigEndian(greeting, magic);
        BinaryPrimitives.WriteUInt64BigEndian(greeting.AsSpan(8), option);
        BinaryPrimitives.WriteUInt16BigEndian(greeting.AsSpan(16), flags);
        Send(greeting);
    }

    /// <summary>Receives NBD_OPT_GO.</summary>
    /// <returns>The export's name.</returns>
    internal string ReceiveGo()
    {
        var head = Receive(4 + 16);
        Assert.Equal((IHAVEOPT, NBD_OPT_GO), (BinaryPrimitives.ReadUInt64BigEndian(head.AsSpan(4)), BinaryPrimitives.ReadUInt32BigEndian(head.AsSpan(12))));
        var data = Receive((int)BinaryPrimitives.ReadUInt32BigEndian(head.AsSpan(16)));
        var name = (int)BinaryPrimitives.ReadUInt32BigEndian(data);
        var infos = BinaryPrimitives.ReadUInt16BigEndian(data.AsSpan(4 + name));
        Assert.Equal(4 + name + 2 + 2 * infos, data.Length);
        return Encoding.UTF8.GetString(data.AsSpan(4, name));
    }

    internal void SendOptionReply(uint type, params ReadOnlySpan<byte> data) => Send(OptionReply(type, data));

    internal static byte[] OptionReply(uint type, ReadOnlySpan<byte> data, ulong magic = OptionReplyMagic, uint? length = null)
    {
        var reply = new byte[20 + data.Length];
        BinaryPrimitives.WriteUInt64BigEndian(reply, magic);
        BinaryPrimitives.WriteUInt32BigEndian(reply.AsSpan(8), NBD_OPT_GO);
        BinaryPrimitives.WriteUInt32BigEndian(reply.AsSpan(12), type);
        BinaryPrimitives.WriteUInt32BigEndian(reply.AsSpan(16), length ?? (uint)data.Length);
        data.CopyTo(reply.AsSpan(20));
        return reply;
    }

    internal static byte[] ExportInfo(ulong bytes, ushort flags)
    {
        var info = new byte[12];
        BinaryPrimitives.WriteUInt16BigEndian(info, NBD_INFO_EXPORT);
        BinaryPrimitives.WriteUInt64BigEndian(info.AsSpan(2), bytes);
        BinaryPrimitives.WriteUInt16BigEndian(info.AsSpan(10), flags);
        return info;
    }

    internal static byte[] BlockSizeInfo(uint minimum, uint preferred = 4096, uint most = 1 << 25)
    {
        var info = new byte[14];
        BinaryPrimitives.WriteUInt16BigEndian(info, NBD_INFO_BLOCK_SIZE);
        BinaryPrimitives.WriteUInt32BigEndian(info.AsSpan(2), minimum);
        BinaryPrimitives.WriteUInt32BigEndian(info.AsSpan(6), preferred);
        BinaryPrimitives.WriteUInt32BigEndian(info.AsSpan(10), most);
        return info;
    }

    /// <summary>Completes the handshake.</summary>
    /// <returns>The export's name.</returns>
    internal string Handshake(ulong bytes, ushort flags = AllCommands, byte[]? blockSizes = null)
    {
        Greet();
        var name = ReceiveGo();
        SendOptionReply(NBD_REP_INFO, blockSizes ?? BlockSizeInfo(1));
        SendOptionReply(NBD_REP_INFO, ExportInfo(bytes, flags));
        SendOptionReply(NBD_REP_ACK);
        return name;
    }

    /// <returns>Null when the client has disconnected.</returns>
    internal ReceivedRequest? TryReceiveRequest()
    {
        try
        {
            var request = ReceiveRequest();
            return request.Command == NbdCommand.NBD_CMD_DISC ? null : request;
        }
        catch (Exception e) when (e is IOException)
        {
            return null;
        }
    }

    internal ReceivedRequest ReceiveRequest()
    {
        var header = Receive(RequestBytes);
        Assert.Equal(RequestMagic, BinaryPrimitives.ReadUInt32BigEndian(header));
        var command = (NbdCommand)BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(6));
        var bytes = (int)BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(24));
        return new ReceivedRequest(
            BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(4)),
            command,
            BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(8)),
            (long)BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(16)),
            bytes,
            command == NbdCommand.NBD_CMD_WRITE ? Receive(bytes) : []);
    }

    internal void Reply(ulong handle, uint error = 0, params ReadOnlySpan<byte> data) => Send(SimpleReply(handle, error, data));

    internal static byte[] SimpleReply(ulong handle, uint error, ReadOnlySpan<byte> data, uint magic = SimpleReplyMagic)
    {
        var reply = new byte[SimpleReplyBytes + data.Length];
        BinaryPrimitives.WriteUInt32BigEndian(reply, magic);
        BinaryPrimitives.WriteUInt32BigEndian(reply.AsSpan(4), error);
        BinaryPrimitives.WriteUInt64BigEndian(reply.AsSpan(8), handle);
        data.CopyTo(reply.AsSpan(SimpleReplyBytes));
        return reply;
    }

    /// <summary>Serves a disk until the client disconnects.</summary>
    /// <returns>The requests, in the order of their arrival.</returns>
    internal List<ReceivedRequest> Serve(byte[] content)
    {
        var requests = new List<ReceivedRequest>();
        while (true)
        {
            var request = ReceiveRequest();
            requests.Add(request);
            var range = content.AsSpan((int)request.Offset, request.Command is NbdCommand.NBD_CMD_FLUSH or NbdCommand.NBD_CMD_DISC ? 0 : request.Bytes);
            switch (request.Command)
            {
                case NbdCommand.NBD_CMD_DISC:
                    return requests;
                case NbdCommand.NBD_CMD_READ:
                    Reply(request.Handle, 0, range);
                    continue;
                case NbdCommand.NBD_CMD_WRITE:
                    request.Data.CopyTo(range);
                    break;
                case NbdCommand.NBD_CMD_TRIM or NbdCommand.NBD_CMD_WRITE_ZEROES:
                    range.Clear();
                    break;
            }
            Reply(request.Handle);
        }
    }

    /// <summary>Closes the direction to the client.</summary>
    internal void FinishSending() => socket.Shutdown(SocketShutdown.Send);

    public void Dispose() => socket.Dispose();

    private byte[] Receive(int bytes)
    {
        var buffer = new byte[bytes];
        NbdStream.ReceiveAll(_stream, buffer);
        return buffer;
    }
}
