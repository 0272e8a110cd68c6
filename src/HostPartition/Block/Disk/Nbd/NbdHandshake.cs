using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;
using static VmShunt.BlockBackend.Disk.Nbd.NbdProtocol;
using static VmShunt.BlockBackend.Disk.Nbd.NbdStream;

namespace VmShunt.BlockBackend.Disk.Nbd;

/// <summary>The fixed newstyle handshake: selects an export with NBD_OPT_GO and reads the server's description of it.</summary>
internal static class NbdHandshake
{
    /// <summary>The longest option reply that is accepted.</summary>
    internal const int MaxOptionReplyBytes = 64 << 10;

    /// <exception cref="IOException">The server refuses the export, describes a disk that cannot be used, or violates the protocol.</exception>
    /// <exception cref="EndOfStreamException">The server closed the connection.</exception>
    internal static NbdExport Run(Socket socket, NbdAddress address)
    {
        var serverFlags = ReceiveGreeting(socket, address);
        SendGo(socket, address, serverFlags);
        NbdExport? export = null;
        Span<byte> head = stackalloc byte[20];
        while (true)
        {
            ReceiveAll(socket, head);
            var (type, length) = (BinaryPrimitives.ReadUInt32BigEndian(head[12..]), BinaryPrimitives.ReadUInt32BigEndian(head[16..]));
            if (BinaryPrimitives.ReadUInt64BigEndian(head) != OptionReplyMagic || length > MaxOptionReplyBytes)
                throw new IOException($"the NBD server at {address.Text} sent an invalid option reply");
            var data = new byte[length];
            ReceiveAll(socket, data);
            if ((type & NBD_REP_FLAG_ERROR) != 0)
                throw new IOException($"the NBD server at {address.Text} refuses the export '{address.Export}': {(length > 0 ? Encoding.UTF8.GetString(data) : $"error {type & ~NBD_REP_FLAG_ERROR}")}");
            if (type == NBD_REP_ACK) return export ?? throw new IOException($"the NBD server at {address.Text} does not describe the export '{address.Export}'");
            if (type == NBD_REP_INFO) export = DecodeInfo(data, address) ?? export;
        }
    }

    private static ushort ReceiveGreeting(Socket socket, NbdAddress address)
    {
        Span<byte> greeting = stackalloc byte[18];
        ReceiveAll(socket, greeting);
        var flags = BinaryPrimitives.ReadUInt16BigEndian(greeting[16..]);
        if (BinaryPrimitives.ReadUInt64BigEndian(greeting) != NBDMAGIC || BinaryPrimitives.ReadUInt64BigEndian(greeting[8..]) != IHAVEOPT || (flags & NBD_FLAG_FIXED_NEWSTYLE) == 0)
            throw new IOException($"the server at {address.Text} does not speak NBD's fixed newstyle handshake");
        return flags;
    }

    private static void SendGo(Socket socket, NbdAddress address, ushort serverFlags)
    {
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
    }

    /// <returns>The export's size and flags, or null where the reply says something else.</returns>
    private static NbdExport? DecodeInfo(ReadOnlySpan<byte> data, NbdAddress address)
    {
        if (data.Length < 2) return null;
        var info = BinaryPrimitives.ReadUInt16BigEndian(data);
        if (info == NBD_INFO_BLOCK_SIZE && data.Length >= 6 && BinaryPrimitives.ReadUInt32BigEndian(data[2..]) is var minimum && minimum > HostClassDriver.SectorBytes)
            throw new IOException($"the export {address.Text} has a minimum block size of {minimum} bytes; at most {HostClassDriver.SectorBytes} is supported");
        if (info != NBD_INFO_EXPORT || data.Length < 12) return null;
        var bytes = BinaryPrimitives.ReadUInt64BigEndian(data[2..]);
        if (bytes is 0 or > long.MaxValue) throw new IOException($"the export {address.Text} has an invalid size of {bytes} bytes");
        return new NbdExport((long)bytes, BinaryPrimitives.ReadUInt16BigEndian(data[10..]));
    }
}
