using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Trap;
using VmShunt.Trap.VfioUser;

namespace VmShunt.Tests.Trap.VfioUser;

/// <summary>What both ends put on the wire, byte by byte as the vfio-user specification lays the messages out.</summary>
public sealed class WireTests
{
    // id, command, size, flags, error: the header that all of these share but for the numbers given.
    private static string Header(int id, int command, int size, uint flags = 0) => Hex(id, 2) + Hex(command, 2) + Hex(size, 4) + Hex(flags, 4) + Hex(0, 4);

    [Fact]
    public void Each_request_has_the_layout_of_the_specification()
    {
        using var client = Connect(out var end);
        using var server = new FramedConnection(end);
        using var file = SharedMemoryFile.Create("test", 0x4000);
        using var eventFd = EventFd.Create();
        Assert.Equal(Header(1, 1, 16 + VfioUserVersion.Bytes) + "00000100", Received(server)[..40]);

        Check(Header(2, 2, 48) + "20000000" + "03000000" + "0010000000000000" + "0000100000000000" + "0020000000000000", 0, c => c.MapMemory(0x10_0000, 0x2000, 0x1000, file));
        Assert.Equal(1, server.Descriptors.Count);
        server.Descriptors.CloseAll();
        Check(Header(3, 2, 48) + "20000000" + "01000000" + "0000000000000000" + "0000200000000000" + "0010000000000000", 0, c => c.MapMemory(0x20_0000, 0x1000, 0, file, writable: false));
        server.Descriptors.CloseAll();
        Check(Header(4, 3, 40) + "18000000" + "00000000" + "0000100000000000" + "0020000000000000", 24, c => c.UnmapMemory(0x10_0000, 0x2000));
        Check(Header(5, 4, 32) + "10000000" + "00000000" + "00000000" + "00000000", 16, static c => c.GetInfo());
        Check(Header(6, 5, 48) + "20000000" + "00000000" + "07000000" + "00000000" + "0000000000000000" + "0000000000000000", 32, static c => c.GetRegionInfo(7));
        Check(Header(7, 7, 32) + "10000000" + "00000000" + "01000000" + "00000000", 16, static c => c.GetIrqInfo(1));
        Check(Header(8, 8, 36) + "14000000" + "24000000" + "01000000" + "00000000" + "01000000", 0, c => c.SetInterrupt(VfioPciIrq.Msi, eventFd));
        Assert.Equal(1, server.Descriptors.Count);
        server.Descriptors.CloseAll();
        Check(Header(9, 8, 36) + "14000000" + "21000000" + "01000000" + "00000000" + "00000000", 0, static c => c.SetInterrupt(VfioPciIrq.Msi, null));
        Check(Header(10, 8, 36) + "14000000" + "11000000" + "00000000" + "00000000" + "01000000", 0, static c => c.Unmask(VfioPciIrq.Intx));
        Check(Header(11, 9, 32) + "0801000000000000" + "05000000" + "04000000", 20, static c => c.ReadRegion(5, 0x108, new byte[4]));
        Check(Header(12, 10, 35) + "0801000000000000" + "05000000" + "03000000" + "AABBCC", 16, static c => c.WriteRegion(5, 0x108, [0xAA, 0xBB, 0xCC]));
        Check(Header(13, 13, 16), 0, static c => c.Reset());
        client.PostRegion(5, 0, [0xDD]);
        Assert.Equal(Header(14, 10, 33, flags: 0x10) + "0000000000000000" + "05000000" + "01000000" + "DD", Received(server));

        void Check(string expected, int replyBytes, Action<VfioUserClient> call)
        {
            var (id, command) = (Convert.FromHexString(expected[..4]), Convert.FromHexString(expected[4..8]));
            server.Send([.. id, .. command, .. BitConverter.GetBytes(16 + replyBytes), 1, 0, 0, 0, 0, 0, 0, 0, .. new byte[replyBytes]]);
            call(client);
            Assert.Equal(expected, Received(server));
        }
    }

    [Fact]
    public void Each_reply_has_the_layout_of_the_specification()
    {
        using var session = new ServedSession();
        Assert.Equal(Header(1, 1, 16 + VfioUserVersion.Bytes, flags: 1) + "00000100", session.Opened[..40]);
        Assert.Equal(Header(7, 4, 32, flags: 1) + "10000000" + "03000000" + "09000000" + "05000000", session.Ask(7, 4, "10000000" + "00000000" + "00000000" + "00000000"));
        Assert.Equal(Header(7, 5, 48, flags: 1) + "20000000" + "03000000" + "05000000" + "00000000" + "0010000000000000" + "0000000000000000", session.Ask(7, 5, "20000000" + "00000000" + "05000000" + new string('0', 40)));
        Assert.Equal(Header(8, 7, 32, flags: 1) + "10000000" + "07000000" + "00000000" + "01000000", session.Ask(8, 7, "10000000" + new string('0', 24)));
        Assert.Equal(Header(9, 2, 16, flags: 1), session.Ask(9, 2, "20000000" + "03000000" + "0000000000000000" + "0000100000000000" + "0020000000000000"));
        Assert.Equal(Header(9, 3, 40, flags: 1) + "18000000" + "00000000" + "0000100000000000" + "0020000000000000", session.Ask(9, 3, "18000000" + "00000000" + "0000100000000000" + "0020000000000000"));
        Assert.Equal(Header(9, 10, 32, flags: 1) + "0800000000000000" + "05000000" + "02000000", session.Ask(9, 10, "0800000000000000" + "05000000" + "02000000" + "1122"));
        Assert.Equal(Header(9, 9, 35, flags: 1) + "0700000000000000" + "05000000" + "03000000" + "001122", session.Ask(9, 9, "0700000000000000" + "05000000" + "03000000"));
        Assert.Equal(Header(9, 8, 16, flags: 1), session.Ask(9, 8, "14000000" + "21000000" + "01000000" + "00000000" + "00000000"));
        Assert.Equal(Header(10, 13, 16, flags: 1), session.Ask(10, 13, ""));
        Assert.Equal(Hex(11, 2) + Hex(5, 2) + Hex(16, 4) + Hex(0x21, 4) + Hex(22, 4), session.Ask(11, 5, "20000000" + "00000000" + "09000000" + new string('0', 40)));
    }

    [Fact]
    public void A_client_sends_VERSION_first()
    {
        var (one, two) = UnixConnection.CreatePair();
        var client = new Thread(() => Record.Exception(() => new VfioUserClient(one, "test")));
        client.Start();
        using (var server = new FramedConnection(two)) Assert.Equal(VfioUserCommand.Version, server.Receive(out VfioUserHeader header) ? header.Command : default);
        client.Join();
        one.Dispose();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void A_client_accepts_a_server_of_every_known_minor_version(ushort minor)
    {
        VfioUserClient? accepted = null;
        UnixConnection? end = null;
        Assert.Null(Record.Exception(() => accepted = Connect(out end, minor)));
        using var client = accepted!;
        using var server = end!;
        server.Send(MessageGen.Bytes(new VfioUserHeader { Id = 2, Command = VfioUserCommand.DeviceReset, Size = 16, Flags = VfioUserFlags.Reply }));
        client.Reset();
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 1)]
    [InlineData(2, 1)]
    [InlineData(ushort.MaxValue, 1)]
    public void A_server_answers_with_the_proposed_minor_version_or_a_lower_one(ushort proposed, int answered)
    {
        using var session = new ServedSession(proposed);
        Assert.Equal(Hex(0, 2) + Hex(answered, 2), session.Opened[32..40]);
        Assert.EndsWith("7D7D00", session.Opened, StringComparison.Ordinal);
    }

    [Fact]
    public void A_client_never_transfers_more_than_the_server_accepts()
    {
        using var client = Connect(out var end, data: """{"capabilities":{"max_data_xfer_size":64}}""");
        using var server = end;
        // First the one that waits for no reply.
        Assert.Throws<ArgumentOutOfRangeException>(() => client.PostRegion(5, 0, new byte[65]));
        Assert.Throws<ArgumentOutOfRangeException>(() => client.ReadRegion(5, 0, new byte[65]));
        Assert.Throws<ArgumentOutOfRangeException>(() => client.WriteRegion(5, 0, new byte[65]));
        server.Send([.. MessageGen.Bytes(new VfioUserHeader { Id = 2, Command = VfioUserCommand.RegionRead, Size = 96, Flags = VfioUserFlags.Reply }), .. new byte[80]]);
        client.ReadRegion(5, 0, new byte[64]);
    }

    [Fact]
    public void Pipelined_commands_are_carried_out_and_answered_in_order_also_with_equal_ids()
    {
        using var session = new ServedSession();
        const string register = "0800000000000000" + "05000000" + "01000000";
        session.Send(5, 10, register + "11");
        session.Send(5, 9, register);
        session.Send(5, 10, register + "22", flags: 0x10);
        session.Send(5, 9, register);
        Assert.Equal(Header(5, 10, 32, flags: 1) + register, session.Receive());
        Assert.Equal(Header(5, 9, 33, flags: 1) + register + "11", session.Receive());
        Assert.Equal(Header(5, 9, 33, flags: 1) + register + "22", session.Receive());
    }

    private static VfioUserClient Connect(out UnixConnection server, ushort minor = 1, string data = "{}")
    {
        (var one, server) = UnixConnection.CreatePair();
        byte[] payload = [0, 0, .. BitConverter.GetBytes(minor), .. System.Text.Encoding.UTF8.GetBytes(data), 0];
        server.Send((MessageGen.Version() with { Flags = (uint)VfioUserFlags.Reply, Payload = payload }).Bytes);
        return new VfioUserClient(one, "test");
    }

    private static string Received(FramedConnection from)
    {
        Assert.True(from.Receive(out VfioUserHeader header));
        var payload = new byte[header.Size - VfioUserHeader.HeaderBytes];
        Assert.True(from.Receive(payload));
        return Convert.ToHexString(MessageGen.Bytes(header)) + Convert.ToHexString(payload);
    }

    private static string Hex(long value, int bytes) => Convert.ToHexString(BitConverter.GetBytes(value).AsSpan(0, bytes));

    /// <summary>A session on a thread of its own and a client that sends and receives bytes.</summary>
    private sealed class ServedSession : IDisposable
    {
        private readonly FramedConnection _client;
        private readonly Thread _thread;

        internal ServedSession(ushort minor = 1)
        {
            var (one, two) = UnixConnection.CreatePair();
            _client = new FramedConnection(one);
            _thread = new Thread(() =>
            {
                using var session = new VfioUserSession(two, static interrupt => new RegisterDevice(interrupt));
                session.Run();
            });
            _thread.Start();
            _client.Send(MessageGen.Version(minor).Bytes);
            Opened = Receive();
        }

        /// <summary>The reply to VERSION.</summary>
        internal string Opened { get; }

        internal void Send(int id, int command, string payload, uint flags = 0) =>
            _client.Send(new Message((ushort)id, (ushort)command, flags, Convert.FromHexString(payload)).Bytes);

        internal string Receive() => Received(_client);

        internal string Ask(int id, int command, string payload)
        {
            Send(id, command, payload);
            return Receive();
        }

        public void Dispose()
        {
            _client.Dispose();
            _thread.Join();
        }
    }
}
