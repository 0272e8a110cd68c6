using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using static VmShunt.BlockBackend.Disk.Nbd.NbdProtocol;
using static VmShunt.BlockBackend.Disk.Nbd.NbdStream;

namespace VmShunt.BlockBackend.Disk.Nbd;

/// <summary>
/// The fixed newstyle handshake: encrypts the connection where the address asks for it (NBD_OPT_STARTTLS), selects an export
/// with NBD_OPT_GO and reads the server's description of it.
/// </summary>
internal static class NbdHandshake
{
    /// <summary>The longest option reply that is accepted.</summary>
    internal const int MaxOptionReplyBytes = 64 << 10;

    private const int LargestBlock = 64 << 10;

    /// <param name="stream">The connection; replaced by its encrypted form.</param>
    /// <param name="address">The export.</param>
    /// <exception cref="IOException">The server refuses the export, describes a disk that cannot be used, or violates the protocol.</exception>
    /// <exception cref="EndOfStreamException">The server closed the connection.</exception>
    internal static NbdExport Run(ref Stream stream, NbdAddress address)
    {
        var serverFlags = ReceiveGreeting(stream, address);
        Span<byte> clientFlags = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(clientFlags, (uint)(serverFlags & (NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES)));
        stream.Write(clientFlags);
        if (address.Tls is { } tls)
        {
            SendOption(stream, NBD_OPT_STARTTLS, []);
            var (type, data) = ReceiveReply(stream, address);
            if (type != NBD_REP_ACK) throw new IOException($"the NBD server at {address.Text} offers no TLS{ReasonOf(data)}; use nbd instead of nbds for an unencrypted connection");
            stream = tls.Encrypt(stream, address.Text);
        }
        SendOption(stream, NBD_OPT_GO, GoData(address));
        NbdExport? export = null;
        var sizes = NbdBlockSizes.Default;
        while (true)
        {
            var (type, data) = ReceiveReply(stream, address);
            if (type == NBD_REP_ERR_TLS_REQD) throw new IOException($"the NBD server at {address.Text} requires TLS: use nbds instead of nbd");
            if ((type & NBD_REP_FLAG_ERROR) != 0)
                throw new IOException($"the NBD server at {address.Text} refuses the export '{address.Export}': {(data.Length > 0 ? Encoding.UTF8.GetString(data) : $"error {type & ~NBD_REP_FLAG_ERROR}")}");
            if (type == NBD_REP_ACK)
            {
                return export is { } described
                    ? described with { BlockSizes = sizes }
                    : throw new IOException($"the NBD server at {address.Text} does not describe the export '{address.Export}'");
            }
            if (type != NBD_REP_INFO) continue;
            export = DecodeExport(data, address) ?? export;
            sizes = DecodeBlockSizes(data, address) ?? sizes;
        }
    }

    private static ushort ReceiveGreeting(Stream stream, NbdAddress address)
    {
        Span<byte> greeting = stackalloc byte[18];
        ReceiveAll(stream, greeting);
        var flags = BinaryPrimitives.ReadUInt16BigEndian(greeting[16..]);
        if (BinaryPrimitives.ReadUInt64BigEndian(greeting) != NBDMAGIC || BinaryPrimitives.ReadUInt64BigEndian(greeting[8..]) != IHAVEOPT || (flags & NBD_FLAG_FIXED_NEWSTYLE) == 0)
            throw new IOException($"the server at {address.Text} does not speak NBD's fixed newstyle handshake");
        return flags;
    }

    private static (uint Type, byte[] Data) ReceiveReply(Stream stream, NbdAddress address)
    {
        Span<byte> head = stackalloc byte[20];
        ReceiveAll(stream, head);
        var (type, length) = (BinaryPrimitives.ReadUInt32BigEndian(head[12..]), BinaryPrimitives.ReadUInt32BigEndian(head[16..]));
        if (BinaryPrimitives.ReadUInt64BigEndian(head) != OptionReplyMagic || length > MaxOptionReplyBytes)
            throw new IOException($"the NBD server at {address.Text} sent an invalid option reply");
        var data = new byte[length];
        ReceiveAll(stream, data);
        return (type, data);
    }

    private static void SendOption(Stream stream, uint option, ReadOnlySpan<byte> data)
    {
        var message = new byte[16 + data.Length];
        BinaryPrimitives.WriteUInt64BigEndian(message, IHAVEOPT);
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan(8), option);
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan(12), (uint)data.Length);
        data.CopyTo(message.AsSpan(16));
        stream.Write(message);
    }

    private static byte[] GoData(NbdAddress address)
    {
        var name = Encoding.UTF8.GetBytes(address.Export);
        var data = new byte[4 + name.Length + 2 + 2];
        BinaryPrimitives.WriteUInt32BigEndian(data, (uint)name.Length);
        name.CopyTo(data, 4);
        BinaryPrimitives.WriteUInt16BigEndian(data.AsSpan(4 + name.Length), 1);
        BinaryPrimitives.WriteUInt16BigEndian(data.AsSpan(6 + name.Length), NBD_INFO_BLOCK_SIZE);
        return data;
    }

    private static string ReasonOf(byte[] data) => data.Length > 0 ? $": {Encoding.UTF8.GetString(data)}" : "";

    /// <returns>The export's size and flags, or null where the reply says something else.</returns>
    private static NbdExport? DecodeExport(ReadOnlySpan<byte> data, NbdAddress address)
    {
        if (data.Length < 12 || BinaryPrimitives.ReadUInt16BigEndian(data) != NBD_INFO_EXPORT) return null;
        var bytes = BinaryPrimitives.ReadUInt64BigEndian(data[2..]);
        if (bytes is 0 or > long.MaxValue) throw new IOException($"the export {address.Text} has an invalid size of {bytes} bytes");
        return new NbdExport((long)bytes, BinaryPrimitives.ReadUInt16BigEndian(data[10..]), NbdBlockSizes.Default);
    }

    private static NbdBlockSizes? DecodeBlockSizes(ReadOnlySpan<byte> data, NbdAddress address)
    {
        if (data.Length < 14 || BinaryPrimitives.ReadUInt16BigEndian(data) != NBD_INFO_BLOCK_SIZE) return null;
        uint minimum = BinaryPrimitives.ReadUInt32BigEndian(data[2..]), preferred = BinaryPrimitives.ReadUInt32BigEndian(data[6..]), most = BinaryPrimitives.ReadUInt32BigEndian(data[10..]);
        if (!BitOperations.IsPow2(minimum) || minimum > LargestBlock || !BitOperations.IsPow2(preferred) || preferred < minimum || most < minimum)
            throw new IOException($"the export {address.Text} has invalid block sizes: minimum {minimum}, preferred {preferred}, maximum {most} bytes");
        return new NbdBlockSizes((int)minimum, (int)Math.Min(preferred, 1 << 30), (int)Math.Min(most, int.MaxValue) & -(int)minimum);
    }
}
