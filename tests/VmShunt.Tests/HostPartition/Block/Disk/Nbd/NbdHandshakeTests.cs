using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk.Nbd;
using static VmShunt.BlockBackend.Disk.Nbd.NbdProtocol;

namespace VmShunt.Tests.HostPartition.Block.Disk.Nbd;

/// <summary>The handshake against a server that follows a script.</summary>
public sealed class NbdHandshakeTests
{
    [Theory]
    [InlineData(false, NbdPeer.AllCommands, false)]
    [InlineData(false, NbdPeer.HasFlags | NBD_FLAG_READ_ONLY, true)]
    [InlineData(true, NbdPeer.AllCommands, true)]
    public void The_export_is_selected_by_name_and_described_by_size_and_flags(bool opensReadOnly, int flags, bool isReadOnly)
    {
        var name = "";
        using var server = new ScriptedNbdServer(peer =>
        {
            name = peer.Handshake(1 << 20, (ushort)flags);
            peer.ReceiveRequest();
        });
        using (var port = NbdPortDriver.Open(server.Address, opensReadOnly, NullLogger.Instance))
        {
            Assert.Equal((1L << 20, isReadOnly, server.Address), (port.Bytes, port.IsReadOnly, port.Description));
        }
        server.Dispose();
        Assert.Equal("disk", name);
    }

    [Theory]
    [InlineData(0x0000_4202_8186_1253UL, NBD_FLAG_FIXED_NEWSTYLE)] // the old style's magic
    [InlineData(IHAVEOPT, 0)] // newstyle without the fixed one's error replies
    [InlineData(IHAVEOPT, NBD_FLAG_NO_ZEROES)]
    public void A_server_without_the_fixed_newstyle_is_rejected(ulong option, int flags) =>
        ExpectRejected("does not speak NBD's fixed newstyle handshake", peer => peer.Greet(option: option, flags: (ushort)flags));

    [Fact]
    public void A_server_of_another_protocol_is_rejected() =>
        ExpectRejected("does not speak NBD's fixed newstyle handshake", peer => peer.Send("HTTP/1.1 400 Bad Request\r\n"u8));

    [Fact]
    public void A_server_that_closes_the_connection_cannot_be_used() =>
        ExpectRejected("cannot be used: the server closed the connection", peer => peer.Send("NBD"u8));

    [Fact]
    public void A_refused_export_is_reported_with_the_servers_reason()
    {
        ExpectRejected("refuses the export 'disk': no such export", peer =>
        {
            peer.Greet();
            peer.ReceiveGo();
            peer.SendOptionReply(NBD_REP_FLAG_ERROR | 6, "no such export"u8);
        });
        ExpectRejected("refuses the export 'disk': error 6", peer =>
        {
            peer.Greet();
            peer.ReceiveGo();
            peer.SendOptionReply(NBD_REP_FLAG_ERROR | 6);
        });
    }

    [Theory]
    [InlineData(0UL, 1u, "has an invalid size of 0 bytes")]
    [InlineData(1UL << 63, 1u, "has an invalid size of 9223372036854775808 bytes")]
    [InlineData(1UL << 20, 3u, "has invalid block sizes: minimum 3, preferred 4096, maximum 33554432 bytes")]
    public void An_export_that_is_no_usable_disk_is_rejected(ulong bytes, uint minimumBlock, string reason) =>
        ExpectRejected(reason, peer =>
        {
            peer.Greet();
            peer.ReceiveGo();
            peer.SendOptionReply(NBD_REP_INFO, NbdPeer.BlockSizeInfo(minimumBlock));
            peer.SendOptionReply(NBD_REP_INFO, NbdPeer.ExportInfo(bytes, NbdPeer.HasFlags));
            peer.SendOptionReply(NBD_REP_ACK);
        });

    [Fact]
    public void An_export_that_is_not_described_is_rejected() =>
        ExpectRejected("does not describe the export 'disk'", peer =>
        {
            peer.Greet();
            peer.ReceiveGo();
            peer.SendOptionReply(NBD_REP_ACK);
        });

    [Fact]
    public void A_missing_server_cannot_be_used()
    {
        var failure = Assert.Throws<IOException>(() => NbdPortDriver.Open("nbd+unix:///disk?socket=/nonexistent", false, NullLogger.Instance));
        Assert.Contains("the NBD server at nbd+unix:///disk?socket=/nonexistent cannot be used", failure.Message, StringComparison.Ordinal);
    }

    private static void ExpectRejected(string reason, Action<NbdPeer> script)
    {
        using var server = new ScriptedNbdServer(script);
        var failure = Assert.Throws<IOException>(() => NbdPortDriver.Open(server.Address, false, NullLogger.Instance));
        Assert.Contains(reason, failure.Message, StringComparison.Ordinal);
    }
}
