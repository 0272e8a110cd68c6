using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk.Nbd;
using VmShunt.Tests.Doubles;
using static VmShunt.BlockBackend.Disk.Nbd.NbdProtocol;

namespace VmShunt.Tests.HostPartition.Block.Disk.Nbd;

/// <summary>A connection that is lost: the driver reconnects and sends the requests in flight again.</summary>
public sealed class NbdReconnectTests : IDisposable
{
    private const int Bytes = 1 << 20;

    private readonly DiskImage _image = new(512);
    private readonly byte[] _content = new byte[Bytes];
    private readonly LogLines _log = new();

    public NbdReconnectTests() => new Random(4).NextBytes(_content);

    public void Dispose() => _image.Dispose();

    private NbdPortDriver Open(ScriptedNbdServer server, TimeSpan? patience = null) =>
        NbdPortDriver.Open(server.Address, readOnly: false, _log, NbdLimits.Default with { Absence = patience ?? NbdLimits.Default.Absence });

    private void ServeAll(NbdPeer peer)
    {
        peer.Handshake(Bytes);
        peer.Serve(_content);
    }

    private static void Lose(NbdPeer peer, Action<NbdPeer, ReceivedRequest> end)
    {
        peer.Handshake(Bytes);
        end(peer, peer.ReceiveRequest());
    }

    [Theory]
    [InlineData("closes the connection", "the server closed the connection")]
    [InlineData("closes it inside a header", "the server closed the connection")]
    [InlineData("closes it inside the data", "the server closed the connection")]
    [InlineData("sends a structured reply, which was not negotiated", "the server violates the protocol")]
    [InlineData("sends a reply to a request that is not in flight", "the server violates the protocol")]
    [InlineData("sends a handle that no request has", "the server violates the protocol")]
    public void A_request_is_sent_again_when_the_server_fails_before_its_reply(string how, string reason)
    {
        using var server = new ScriptedNbdServer(
            peer => Lose(peer, (peer, request) =>
            {
                switch (how)
                {
                    case "closes it inside a header":
                        peer.Send(NbdPeer.SimpleReply(request.Handle, 0, []).AsSpan(0, 7));
                        break;
                    case "closes it inside the data":
                        peer.Reply(request.Handle, 0, new byte[100]);
                        break;
                    case "sends a structured reply, which was not negotiated":
                        peer.Send(NbdPeer.SimpleReply(request.Handle, 0, new byte[600], magic: 0x668e_33ef));
                        break;
                    case "sends a reply to a request that is not in flight":
                        peer.Reply(request.Handle + 1, 0, new byte[512]);
                        break;
                    case "sends a handle that no request has":
                        peer.Reply(ulong.MaxValue, 0, new byte[512]);
                        break;
                }
            }),
            ServeAll);
        using (var port = Open(server)) Assert.Equal(_content.AsSpan(1024, 512).ToArray(), _image.Read(port, 1024, 512));
        Assert.Equal([$"disk {server.Address}: the connection to the server was lost ({reason}); requests wait until it is restored", $"disk {server.Address}: reconnected to the server; requests resume"], _log.All);
    }

    [Fact]
    public void Every_request_in_flight_is_sent_again_on_one_new_connection()
    {
        const int threads = 16;
        using var server = new ScriptedNbdServer(
            peer =>
            {
                peer.Handshake(Bytes);
                for (var i = 0; i < threads; i++) peer.ReceiveRequest();
            },
            ServeAll);
        using (var port = Open(server))
        {
            var writers = Enumerable.Range(0, threads).Select(i => new Thread(() =>
            {
                _image.Ram(i * 512, 512).Fill((byte)(i + 1));
                port.Write(_image.Pieces(false, (i * 512, 512)), i * 4096);
            })).ToList();
            writers.ForEach(static writer => writer.Start());
            writers.ForEach(static writer => writer.Join());
        }
        server.Dispose();
        for (var i = 0; i < threads; i++) Assert.Equal(-1, _content.AsSpan(i * 4096, 512).IndexOfAnyExcept((byte)(i + 1)));
        Assert.Equal(2, _log.All.Length);
    }

    [Fact]
    public void A_loss_of_unflushed_writes_is_counted()
    {
        using var server = new ScriptedNbdServer(
            peer =>
            {
                peer.Handshake(Bytes);
                peer.Reply(peer.ReceiveRequest().Handle);
            },
            ServeAll);
        using var port = Open(server);
        _image.Write(port, 0, new byte[512]);
        Assert.Equal(0, port.WriteLosses);
        _image.Read(port, 0, 512);
        Assert.Equal(1, port.WriteLosses);
        port.Flush();
        Assert.Equal(1, port.WriteLosses);
    }

    [Fact]
    public void A_loss_with_every_write_flushed_loses_no_write()
    {
        using var server = new ScriptedNbdServer(
            peer =>
            {
                peer.Handshake(Bytes);
                for (var i = 0; i < 2; i++) peer.Reply(peer.ReceiveRequest().Handle);
            },
            ServeAll);
        using var port = Open(server);
        _image.Write(port, 0, new byte[512]);
        port.Flush();
        _image.Read(port, 0, 512);
        port.Flush();
        Assert.Equal(0, port.WriteLosses);
        Assert.Equal(2, _log.All.Length);
    }

    [Fact]
    public void A_flush_that_is_sent_again_covers_no_write_of_the_lost_connection()
    {
        using var server = new ScriptedNbdServer(
            peer =>
            {
                peer.Handshake(Bytes);
                peer.Reply(peer.ReceiveRequest().Handle);
                Assert.Equal(NbdCommand.NBD_CMD_FLUSH, peer.ReceiveRequest().Command);
            },
            ServeAll);
        using var port = Open(server);
        _image.Write(port, 0, new byte[512]);
        port.Flush();
        Assert.Equal(1, port.WriteLosses);
    }

    [Fact]
    public void A_request_fails_when_the_server_does_not_return()
    {
        using var server = new ScriptedNbdServer(peer => Lose(peer, static (_, _) => { }));
        using var port = Open(server, patience: TimeSpan.Zero);
        var failure = Assert.Throws<IOException>(() => _image.Read(port, 0, 512));
        Assert.Contains("cannot be used", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_export_of_another_size_after_a_reconnect_is_rejected()
    {
        using var server = new ScriptedNbdServer(
            peer => Lose(peer, static (_, _) => { }),
            peer =>
            {
                peer.Handshake(2 * Bytes);
                peer.ReceiveRequest();
            });
        using var port = Open(server, patience: TimeSpan.Zero);
        var failure = Assert.Throws<IOException>(() => _image.Read(port, 0, 512));
        Assert.Contains($"has {2 * Bytes} bytes instead of {Bytes} after a reconnect: it is another disk", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_server_that_was_restarted_is_found_again_while_the_request_waits()
    {
        var refused = 0;
        using var server = new ScriptedNbdServer(
            peer => Lose(peer, static (_, _) => { }),
            // Not ready yet: it closes new connections.
            _ => refused++,
            _ => refused++,
            ServeAll);
        using (var port = NbdPortDriver.Open(server.Address, readOnly: false, NullLogger.Instance))
            Assert.Equal(_content.AsSpan(0, 512).ToArray(), _image.Read(port, 0, 512));
        server.Dispose();
        Assert.Equal(2, refused);
    }

    [Fact]
    public void Flags_of_the_new_connection_apply_after_a_reconnect()
    {
        using var server = new ScriptedNbdServer(
            peer => Lose(peer, static (_, _) => { }),
            peer =>
            {
                peer.Handshake(Bytes, NbdPeer.HasFlags | NBD_FLAG_SEND_FLUSH);
                peer.Serve(_content);
            });
        using var port = Open(server);
        Assert.Equal(_content.AsSpan(0, 512).ToArray(), _image.Read(port, 0, 512));
        Assert.False(port.TryDiscard(0, 512));
    }
}
