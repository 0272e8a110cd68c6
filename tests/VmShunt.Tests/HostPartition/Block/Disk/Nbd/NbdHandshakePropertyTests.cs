using System.Net.Sockets;
using CsCheck;
using VmShunt.BlockBackend.Disk.Nbd;
using Xunit.Abstractions;
using static VmShunt.BlockBackend.Disk.Nbd.NbdProtocol;

namespace VmShunt.Tests.HostPartition.Block.Disk.Nbd;

/// <summary>Any sequence of option replies, whole or cut, against a reference that reads a list.</summary>
public sealed class NbdHandshakePropertyTests(ITestOutputHelper output) : IDisposable
{
    private static readonly NbdAddress s_address = NbdAddress.Parse("nbd://test/disk");

    private static readonly Gen<OptionReply> s_export =
        Gen.Select(Gen.OneOf<ulong>(0, 1, 512, 1 << 20, long.MaxValue, 1UL << 63, ulong.MaxValue), Gen.UShort, Gen.Int[2, 16],
            static (bytes, flags, length) => Info(NbdPeer.ExportInfo(bytes, flags), length));

    private static readonly Gen<OptionReply> s_blockSize =
        Gen.Select(Gen.OneOf<uint>(1, 512, 513, 4096, uint.MaxValue), Gen.Int[2, 14], static (minimum, length) => Info(NbdPeer.BlockSizeInfo(minimum), length));

    // Mostly valid ones, so that the sequences get long.
    private static readonly Gen<OptionReply> s_reply = Gen.Frequency<OptionReply>(
        (6, s_export),
        (3, s_blockSize),
        (2, Gen.Select(Gen.UInt[0, 9], Gen.Byte.Array[0, 16], static (type, data) => new OptionReply(OptionReplyMagic, type == NBD_REP_ACK ? 2 : type, (uint)data.Length, data))),
        (3, Gen.Const(new OptionReply(OptionReplyMagic, NBD_REP_ACK, 0, []))),
        (1, Gen.Select(Gen.UInt, Gen.Byte.Array[0, 40], static (type, data) => new OptionReply(OptionReplyMagic, type | NBD_REP_FLAG_ERROR, (uint)data.Length, data))),
        (1, Gen.Select(Gen.ULong, static magic => new OptionReply(magic, NBD_REP_ACK, 0, []))),
        (1, Gen.Select(Gen.UInt[NbdHandshake.MaxOptionReplyBytes - 1, uint.MaxValue], static length => new OptionReply(OptionReplyMagic, NBD_REP_INFO, length, []))));

    private readonly string _path = Path.Combine(Path.GetTempPath(), $"nbd-{Guid.NewGuid():N}");

    public void Dispose() => File.Delete(_path);

    private enum Outcome
    {
        Selected,
        Refused,
        Closed,
    }

    [Fact]
    public void Any_sequence_of_option_replies_selects_the_export_or_is_refused_as_the_reference_says()
    {
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(_path));
        listener.Listen();
        Gen.Select(s_reply.Array[0, 8], Gen.Frequency<int>((3, Gen.Const(0)), (1, Gen.Int[1, 60]))).Sample(
            (replies, cut) => Assert.Equal(Reference(replies, cut), Run(listener, replies, cut)),
            writeLine: output.WriteLine,
            iter: 1500,
            threads: 1,
            print: static sample => $"{string.Join(' ', sample.Item1.Select(static reply => reply.ToString()))} cut {sample.Item2}");
    }

    private static OptionReply Info(byte[] info, int length)
    {
        Array.Resize(ref info, length);
        return new OptionReply(OptionReplyMagic, NBD_REP_INFO, (uint)length, info);
    }

    private static (Outcome, NbdExport) Run(Socket listener, OptionReply[] replies, int cut)
    {
        using var client = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        client.Connect(listener.LocalEndPoint!);
        using var peer = new NbdPeer(listener.Accept());
        peer.Greet();
        byte[] all = [.. replies.SelectMany(static reply => reply.Bytes)];
        peer.Send(all.AsSpan(0, Math.Max(0, all.Length - cut)));
        // Closed in this direction only: the client still sends its option.
        peer.FinishSending();
        try
        {
            Stream stream = new NetworkStream(client);
            return (Outcome.Selected, NbdHandshake.Run(ref stream, s_address));
        }
        catch (EndOfStreamException)
        {
            return (Outcome.Closed, default);
        }
        catch (IOException)
        {
            return (Outcome.Refused, default);
        }
    }

    private static (Outcome, NbdExport) Reference(OptionReply[] replies, int cut)
    {
        NbdExport? export = null;
        var sizes = NbdBlockSizes.Default;
        var left = Math.Max(0, replies.Sum(static reply => reply.Bytes.Length) - cut);
        foreach (var reply in replies)
        {
            if (left < 20) return (Outcome.Closed, default);
            if (reply.Magic != OptionReplyMagic || reply.Length > 65536) return (Outcome.Refused, default);
            if (left < 20 + reply.Length) return (Outcome.Closed, default);
            left -= reply.Bytes.Length;
            if (reply.Type >= 1u << 31) return (Outcome.Refused, default);
            if (reply.Type == 1) return export is { } selected ? (Outcome.Selected, selected with { BlockSizes = sizes }) : (Outcome.Refused, default);
            if (reply.Type != 3 || reply.Length < 2) continue;
            var kind = reply.Data[0] << 8 | reply.Data[1];
            if (kind == 3 && reply.Length >= 14)
            {
                var minimum = BigEndian(reply.Data[2..6]);
                if (minimum is not (1 or 512 or 4096)) return (Outcome.Refused, default);
                sizes = new NbdBlockSizes((int)minimum, 4096, 1 << 25);
            }
            if (kind != 0 || reply.Length < 12) continue;
            var bytes = BigEndian(reply.Data[2..10]);
            if (bytes == 0 || bytes >= 1UL << 63) return (Outcome.Refused, default);
            export = new NbdExport((long)bytes, (ushort)BigEndian(reply.Data[10..12]), NbdBlockSizes.Default);
        }
        return (Outcome.Closed, default);
    }

    private static ulong BigEndian(byte[] bytes) => bytes.Aggregate(0UL, static (value, next) => value << 8 | next);

    private sealed record OptionReply(ulong Magic, uint Type, uint Length, byte[] Data)
    {
        internal byte[] Bytes => NbdPeer.OptionReply(Type, Data, Magic, Length);

        public override string ToString() => $"[magic {Magic:x} type {Type:x} length {Length} {Convert.ToHexString(Data)}]";
    }
}
