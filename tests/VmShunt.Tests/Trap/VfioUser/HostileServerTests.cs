using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;
using VmShunt.Trap;
using VmShunt.Trap.VfioUser;

namespace VmShunt.Tests.Trap.VfioUser;

public sealed class HostileServerTests
{
    [Theory]
    [InlineData(2, 4, 32u, 1u)]
    [InlineData(1, 5, 32u, 1u)]
    [InlineData(1, 4, 32u, 0u)]
    [InlineData(1, 4, 15u, 1u)]
    [InlineData(1, 4, uint.MaxValue, 1u)]
    [InlineData(1, 4, 20u, 1u)]
    public void A_reply_that_does_not_match_its_request_breaks_the_connection(int idAhead, int command, uint size, uint flags)
    {
        using var client = Agreed(out var server);
        using var _ = server;
        var answering = new Thread(() =>
        {
            server.Receive(out VfioUserHeader request);
            server.Receive(new byte[16]);
            var id = (ushort)(request.Id + idAhead - 1);
            // In one piece: the client hangs up as soon as it has seen the header.
            server.Send([.. MessageGen.Bytes(new VfioUserHeader { Id = id, Command = (VfioUserCommand)command, Size = size, Flags = (VfioUserFlags)flags }), .. new byte[16]]);
        });
        answering.Start();
        var error = Assert.Throws<IOException>(() => client.GetInfo());
        Assert.Contains("the device at test is lost", error.Message, StringComparison.Ordinal);
        answering.Join();
        Assert.Equal(error.Message, Assert.Throws<IOException>(() => client.Reset()).Message);
    }

    [Fact]
    public void Bytes_after_the_reply_break_the_connection()
    {
        using var client = Agreed(out var server);
        using var _ = server;
        var answering = new Thread(() =>
        {
            server.Receive(out VfioUserHeader request);
            server.Receive(new byte[16]);
            var reply = new byte[64];
            MemoryMarshal.Write(reply, new VfioUserHeader { Id = request.Id, Command = request.Command, Size = 32, Flags = VfioUserFlags.Reply });
            MemoryMarshal.Write(reply.AsSpan(32), new VfioUserHeader { Id = (ushort)(request.Id + 1), Command = request.Command, Size = 32, Flags = VfioUserFlags.Reply });
            server.Send(reply);
        });
        answering.Start();
        Assert.Contains("more than the reply", Assert.Throws<IOException>(() => client.GetInfo()).Message, StringComparison.Ordinal);
        answering.Join();
        Assert.Throws<IOException>(() => client.GetInfo());
    }

    [Fact]
    public void A_server_may_disconnect_at_any_byte_of_a_reply()
    {
        for (var bytes = 0; bytes < 32; bytes++)
        {
            using var client = Agreed(out var server);
            var count = bytes;
            var answering = new Thread(() =>
            {
                server.Receive(out VfioUserHeader request);
                server.Receive(new byte[16]);
                var reply = new byte[32];
                MemoryMarshal.Write(reply, new VfioUserHeader { Id = request.Id, Command = request.Command, Size = 32, Flags = VfioUserFlags.Reply });
                server.Send(reply.AsSpan(0, count));
                server.Dispose();
            });
            answering.Start();
            Assert.Throws<IOException>(() => client.GetInfo());
            answering.Join();
        }
    }

    [Fact]
    public void A_server_of_an_unknown_version_is_refused()
    {
        var (one, two) = UnixConnection.CreatePair();
        using var server = new FramedConnection(two);
        var answering = new Thread(() => AnswerVersion(server, minor: 2));
        answering.Start();
        var error = Assert.Throws<IOException>(() => new VfioUserClient(one, "test"));
        Assert.Contains("0.2", error.Message, StringComparison.Ordinal);
        answering.Join();
        one.Dispose();
    }

    private static VfioUserClient Agreed(out FramedConnection server)
    {
        var (one, two) = UnixConnection.CreatePair();
        var end = server = new FramedConnection(two);
        var answering = new Thread(() => AnswerVersion(end, minor: 1));
        answering.Start();
        var client = new VfioUserClient(one, "test");
        answering.Join();
        return client;
    }

    private static void AnswerVersion(FramedConnection server, ushort minor)
    {
        server.Receive(out VfioUserHeader request);
        server.Receive(new byte[request.Size - 16]);
        var payload = new byte[VfioUserVersion.Bytes];
        VfioUserVersion.Write(payload, minor);
        server.Send(new VfioUserHeader { Id = request.Id, Command = request.Command, Size = (uint)(16 + payload.Length), Flags = VfioUserFlags.Reply });
        server.Send(payload);
    }
}
