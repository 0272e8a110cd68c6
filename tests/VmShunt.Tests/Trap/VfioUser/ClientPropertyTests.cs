using CsCheck;
using VmShunt.Ring.Interop;
using VmShunt.Trap;
using VmShunt.Trap.VfioUser;

namespace VmShunt.Tests.Trap.VfioUser;

/// <summary>
/// Properties of the client's end. The reply is in the socket before the client asks, so a sample needs no second thread.
/// </summary>
public sealed class ClientPropertyTests
{
    private const ushort RequestId = 2;

    private static readonly Gen<byte[]> s_payload = Gen.OneOf<byte[]>(
        Gen.Select(Gen.UInt[0, 7], Gen.UInt[0, 9], Gen.ULong, static (flags, index, size) =>
            MessageGen.Bytes(new RegionInfoPayload { ArgSize = RegionInfoPayload.Bytes, Flags = (VfioRegionFlags)flags, Index = index, Size = size })),
        Gen.Byte.Array[0, 60]);

    private static readonly Gen<byte[]> s_reply =
        Gen.Select(
            s_payload,
            Gen.Frequency<ushort>((8, Gen.Const(RequestId)), (1, Gen.UShort)),
            Gen.Frequency<ushort>((8, Gen.Const((ushort)VfioUserCommand.DeviceGetRegionInfo)), (1, Gen.UShort)),
            Gen.Frequency<uint>((8, Gen.Const(1u)), (4, Gen.Const(0x21u)), (1, Gen.UInt[0, 255])),
            Gen.UInt,
            Gen.Frequency<int>((8, Gen.Const(0)), (1, Gen.Int[-80, 80]), (1, Gen.Int)),
            static (payload, id, command, flags, errno, sizeError) =>
                (byte[])[.. MessageGen.Bytes(new VfioUserHeader
                {
                    Id = id,
                    Command = (VfioUserCommand)command,
                    Size = (uint)(VfioUserHeader.HeaderBytes + payload.Length + sizeError),
                    Flags = (VfioUserFlags)flags,
                    Error = errno,
                }), .. payload]);

    /// <summary>A whole reply, or one that is cut, or one with bytes after it, or noise.</summary>
    private static readonly Gen<byte[]> s_answer = Gen.Frequency<byte[]>(
        (6, s_reply),
        (2, Gen.Select(s_reply, Gen.Int[0, 60], static (reply, cut) => reply[..Math.Min(cut, reply.Length)])),
        (1, Gen.Select(s_reply, Gen.Byte.Array[1, 20], static (reply, more) => (byte[])[.. reply, .. more])),
        (1, Gen.Byte.Array[0, 60]));

    [Fact]
    public void A_reply_of_any_bytes_is_decoded_refused_or_breaks_the_connection_for_good() =>
        s_answer.Sample(
            static answer =>
            {
                using var client = Connect(out var end);
                using var server = end;
                VfioRegionInfo info = default;
                if (answer.Length > 0) server.Send(answer);
                var expected = Expect(answer, out var region, out var errno);
                if (expected == typeof(IOException)) server.ShutdownSend();
                var error = Record.Exception(() => info = client.GetRegionInfo(5));
                Assert.Equal(expected, error?.GetType());
                if (error is null) Assert.Equal(region, info);
                if (error is VfioUserException refused) Assert.Equal(errno, refused.Errno);
                if (expected == typeof(IOException))
                {
                    Assert.Equal(error!.Message, Assert.Throws<IOException>(client.Reset).Message);
                    return;
                }
                server.Send(MessageGen.Bytes(new VfioUserHeader { Id = RequestId + 1, Command = VfioUserCommand.DeviceReset, Size = 16, Flags = VfioUserFlags.Reply }));
                client.Reset();
            },
            iter: 3000,
            print: Convert.ToHexString);

    [Fact]
    public void The_reply_to_a_read_is_exactly_the_data_asked_for_or_breaks_the_connection() =>
        Gen.Select(Gen.Int[0, 200], Gen.Frequency<int>((3, Gen.Const(0)), (1, Gen.Int[-20, 20])), Gen.Byte).Sample(
            static (asked, difference, value) =>
            {
                var sent = Math.Max(0, asked + difference);
                using var client = Connect(out var end);
                using var server = end;
                byte[] payload = [.. MessageGen.Bytes(new RegionAccess { Region = 5, Count = (uint)asked }), .. Enumerable.Repeat(value, sent)];
                server.Send([.. MessageGen.Bytes(new VfioUserHeader { Id = RequestId, Command = VfioUserCommand.RegionRead, Size = (uint)(16 + payload.Length), Flags = VfioUserFlags.Reply }), .. payload]);
                var data = new byte[asked];
                var error = Record.Exception(() => client.ReadRegion(5, 0, data));
                Assert.Equal(sent == asked, error is null);
                if (error is null) Assert.Equal(Enumerable.Repeat(value, asked), data);
                else Assert.IsType<IOException>(error);
            });

    [Fact]
    public void A_server_decodes_what_a_client_encodes() =>
        Gen.Select(Gen.UInt[0, 255], Gen.ULong, Gen.Byte.Array[1, 100]).Sample(
            static (region, offset, data) =>
            {
                using var client = Connect(out var end);
                using var server = new FramedConnection(end);
                server.Send(new VfioUserHeader { Id = RequestId, Command = VfioUserCommand.RegionWrite, Size = 32, Flags = VfioUserFlags.Reply });
                server.Send(new RegionAccess { Region = region, Offset = offset, Count = (uint)data.Length });
                client.WriteRegion((int)region, offset, data);
                SkipVersion(server);
                Assert.True(server.Receive(out VfioUserHeader header));
                Assert.Equal((RequestId, VfioUserCommand.RegionWrite, (uint)(32 + data.Length), VfioUserFlags.Command, 0u), (header.Id, header.Command, header.Size, header.Flags, header.Error));
                Assert.True(server.Receive(out RegionAccess access));
                Assert.Equal((region, offset, (uint)data.Length), (access.Region, access.Offset, access.Count));
                var sent = new byte[data.Length];
                Assert.True(server.Receive(sent));
                Assert.Equal(data, sent);
            });

    // Decides from the bytes alone what the client must make of them.
    private static Type? Expect(byte[] answer, out VfioRegionInfo region, out int errno)
    {
        region = default;
        errno = 0;
        if (answer.Length < 16) return typeof(IOException);
        var (id, command) = (BitConverter.ToUInt16(answer, 0), BitConverter.ToUInt16(answer, 2));
        var (size, flags) = (BitConverter.ToUInt32(answer, 4), BitConverter.ToUInt32(answer, 8));
        if ((flags & 15) != 1 || id != RequestId || command != 5 || size != answer.Length || size > VfioUserHeader.MaxMessageBytes) return typeof(IOException);
        errno = BitConverter.ToInt32(answer, 12);
        if ((flags & 32) != 0) return typeof(VfioUserException);
        if (size < 48) return typeof(IOException);
        region = new VfioRegionInfo((VfioRegionFlags)(BitConverter.ToUInt32(answer, 20) & 3), BitConverter.ToUInt64(answer, 32));
        return null;
    }

    private static VfioUserClient Connect(out UnixConnection server)
    {
        (var one, server) = UnixConnection.CreatePair();
        var version = MessageGen.Version();
        server.Send((version with { Flags = (uint)VfioUserFlags.Reply }).Bytes);
        return new VfioUserClient(one, "test");
    }

    private static void SkipVersion(FramedConnection server)
    {
        Assert.True(server.Receive(out VfioUserHeader header));
        Assert.Equal(VfioUserCommand.Version, header.Command);
        Assert.True(server.Receive(new byte[header.Size - VfioUserHeader.HeaderBytes]));
    }
}
