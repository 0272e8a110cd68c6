using CsCheck;
using VmShunt.Ring.Interop;
using VmShunt.Trap;
using VmShunt.Trap.VfioUser;

namespace VmShunt.Tests.Trap.VfioUser;

/// <summary>
/// Properties of the server's end. All messages are in the socket before the session reads the first, so a sample needs no
/// second thread. A failure is shrunk and printed with its seed (CsCheck_Seed runs it again).
/// </summary>
public sealed class SessionPropertyTests
{
    private sealed record Reply(VfioUserHeader Header, byte[] Payload);

    [Fact]
    public void Every_command_gets_the_reply_that_the_protocol_prescribes() =>
        MessageGen.Framed.Array[0, 16].Sample(
            static commands =>
            {
                var error = Serve([MessageGen.Version(), .. commands], out var replies);
                Assert.Null(error);
                var model = new SessionModel();
                var next = 1;
                foreach (var command in commands)
                {
                    var (errno, payload) = model.Serve(command.Command, command.Payload);
                    if (!IsReplied(command)) continue;
                    var reply = replies[next++];
                    Assert.Equal((command.Id, command.Command), (reply.Header.Id, (ushort)reply.Header.Command));
                    Assert.Equal(errno, reply.Header.Error);
                    Assert.Equal(errno == 0 ? VfioUserFlags.Reply : VfioUserFlags.Reply | VfioUserFlags.Error, reply.Header.Flags);
                    Assert.Equal(payload, reply.Payload);
                }
                Assert.Equal(next, replies.Count);
            },
            iter: 2000,
            print: Print);

    [Fact]
    public void A_malformed_message_ends_the_connection_after_the_replies_to_those_before_it() =>
        Gen.Select(MessageGen.Framed.Array[0, 6], MessageGen.Malformed, MessageGen.Framed.Array[0, 3]).Sample(
            static (before, malformed, after) =>
            {
                Assert.IsType<IOException>(Serve([MessageGen.Version(), .. before, malformed, .. after], out var replies));
                Assert.Equal(before.Where(IsReplied).Select(static m => (m.Id, m.Command)), replies.Skip(1).Select(static r => (r.Header.Id, (ushort)r.Header.Command)));
            },
            iter: 1000);

    [Fact]
    public void Changed_bytes_in_a_stream_end_in_replies_or_in_a_closed_connection() =>
        Gen.Select(MessageGen.Framed.Array[0, 6], Gen.Select(Gen.Int[0, 400], Gen.Byte).Array[0, 4]).Sample(
            static (commands, changes) =>
            {
                byte[] stream = [.. MessageGen.Version().Bytes, .. commands.SelectMany(static m => m.Bytes)];
                foreach (var (at, value) in changes) stream[at % stream.Length] = value;
                var error = Serve(stream, out _);
                Assert.True(error is null or IOException, error?.ToString());
            },
            iter: 2000);

    [Fact]
    public void Random_bytes_end_in_replies_or_in_a_closed_connection() =>
        Gen.Select(Gen.Bool, Gen.Byte.Array[0, 300]).Sample(
            static (opened, noise) =>
            {
                var error = Serve([.. opened ? MessageGen.Version().Bytes : [], .. noise], out _);
                Assert.True(error is null or IOException, error?.ToString());
            },
            iter: 2000);

    [Fact]
    public void A_stream_that_ends_at_any_byte_gets_the_replies_to_its_whole_messages() =>
        Gen.Select(MessageGen.Framed.Array[0, 6], Gen.Int[0, 400]).Sample(
            static (commands, cut) =>
            {
                Message[] messages = [MessageGen.Version(), .. commands];
                byte[] stream = [.. messages.SelectMany(static m => m.Bytes)];
                cut = Math.Min(cut, stream.Length);
                var ends = messages.Select((_, i) => messages.Take(i + 1).Sum(static m => m.Bytes.Length)).ToArray();
                var error = Serve(stream.AsSpan(0, cut).ToArray(), out var replies);
                Assert.Equal(cut == 0 || ends.Contains(cut), error is null);
                Assert.True(error is null or IOException, error?.ToString());
                Assert.Equal(
                    messages.Where((m, i) => ends[i] <= cut && IsReplied(m)).Select(static m => m.Id),
                    replies.Select(static r => r.Header.Id));
            },
            iter: 1000);

    private static bool IsReplied(Message message) => (message.Flags & (uint)VfioUserFlags.NoReply) == 0;

    private static Exception? Serve(IEnumerable<Message> messages, out List<Reply> replies) =>
        Serve([.. messages.SelectMany(static message => message.Bytes)], out replies);

    private static Exception? Serve(byte[] stream, out List<Reply> replies)
    {
        var (one, two) = UnixConnection.CreatePair();
        using var client = new FramedConnection(one);
        RegisterDevice? device = null;
        var session = new VfioUserSession(two, interrupt => device = new RegisterDevice(interrupt));
        one.Send(stream);
        one.ShutdownSend();
        var error = Record.Exception(session.Run);
        session.Shutdown();
        replies = [];
        while (client.Receive(out VfioUserHeader header))
        {
            var payload = new byte[header.Size - VfioUserHeader.HeaderBytes];
            Assert.True(client.Receive(payload));
            Assert.Equal(VfioUserFlags.Reply, header.Flags & ~VfioUserFlags.Error);
            Assert.True((header.Flags & VfioUserFlags.Error) == 0 || payload.Length == 0, "an error reply is a header only");
            replies.Add(new Reply(header, payload));
        }
        session.Dispose();
        Assert.Null(device!.Memory);
        Assert.Contains("disposed", device.Events);
        return error;
    }

    private static string Print(Message[] messages) => string.Join('\n', messages.Select(static message => message.ToString()));
}
