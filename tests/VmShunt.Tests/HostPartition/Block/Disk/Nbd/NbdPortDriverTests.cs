using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk.Nbd;
using VmShunt.Tests.Doubles;
using static VmShunt.BlockBackend.Disk.Nbd.NbdProtocol;

namespace VmShunt.Tests.HostPartition.Block.Disk.Nbd;

/// <summary>Requests on a connection that stays.</summary>
public sealed class NbdPortDriverTests : IDisposable
{
    private const int Bytes = 4 << 20, EIO = 5;

    private readonly DiskImage _image = new(512);
    private readonly byte[] _content = new byte[Bytes];
    private List<ReceivedRequest> _requests = [];

    public NbdPortDriverTests() => new Random(4).NextBytes(_content);

    public void Dispose() => _image.Dispose();

    private static NbdPortDriver Open(ScriptedNbdServer server) => NbdPortDriver.Open(server.Address, readOnly: false, NullLogger.Instance);

    private ScriptedNbdServer Serve(ushort flags = NbdPeer.AllCommands, int bytes = Bytes) => new(peer =>
    {
        peer.Handshake((ulong)bytes, flags);
        _requests = peer.Serve(_content);
    });

    [Fact]
    public void A_request_carries_its_command_offset_length_and_data()
    {
        using var server = Serve();
        var data = new byte[1024];
        new Random(5).NextBytes(data);
        using (var port = Open(server))
        {
            Assert.Equal(_content.AsSpan(4096, 1536).ToArray(), _image.Read(port, 4096, 1536));
            _image.Write(port, 512, data);
            port.Flush();
            Assert.True(port.TryDiscard(8192, 512));
            Assert.True(port.TryUnmap(16384, 1024));
            port.WriteZeroes(32768, 2048);
            Assert.False(port.DiscardIsDeterministic);
        }
        server.Dispose();
        Assert.Equal(
            [
                (0, NbdCommand.NBD_CMD_READ, 4096L, 1536), (0, NbdCommand.NBD_CMD_WRITE, 512, 1024), (0, NbdCommand.NBD_CMD_FLUSH, 0, 0),
                (0, NbdCommand.NBD_CMD_TRIM, 8192, 512), (0, NbdCommand.NBD_CMD_WRITE_ZEROES, 16384, 1024),
                (NBD_CMD_FLAG_NO_HOLE, NbdCommand.NBD_CMD_WRITE_ZEROES, 32768, 2048), (0, NbdCommand.NBD_CMD_DISC, 0, 0),
            ],
            _requests.Select(static request => ((int)request.Flags, request.Command, request.Offset, request.Bytes)));
        Assert.Equal(data, _requests[1].Data);
    }

    [Fact]
    public void What_the_server_does_not_support_is_not_sent()
    {
        using var server = Serve(NbdPeer.HasFlags);
        using (var port = Open(server))
        {
            port.Flush();
            Assert.False(port.TryDiscard(0, 512));
            Assert.False(port.TryUnmap(0, 512));
            // Zeros are written as data instead.
            port.WriteZeroes(512, 1024);
        }
        server.Dispose();
        Assert.Equal([NbdCommand.NBD_CMD_WRITE, NbdCommand.NBD_CMD_DISC], _requests.Select(static request => request.Command));
        Assert.Equal(new byte[1024], _requests[0].Data);
    }

    [Fact]
    public void A_read_only_export_is_not_flushed()
    {
        using var server = Serve(NbdPeer.AllCommands | NBD_FLAG_READ_ONLY);
        using (var port = Open(server)) port.Flush();
        server.Dispose();
        Assert.Equal(NbdCommand.NBD_CMD_DISC, Assert.Single(_requests).Command);
    }

    [Fact]
    public void A_long_request_is_split_into_ones_that_every_server_accepts()
    {
        using var server = Serve();
        var data = new byte[5 << 19];
        new Random(6).NextBytes(data);
        using (var port = Open(server))
        {
            _image.Write(port, 512, data);
            _image.Ram(0, data.Length).Clear();
            Assert.Equal(data, _image.Read(port, 512, data.Length));
        }
        server.Dispose();
        int[] lengths = [MaxPayloadBytes, MaxPayloadBytes, MaxPayloadBytes / 2];
        Assert.Equal([.. lengths, .. lengths, 0], _requests.Select(static request => request.Bytes));
        Assert.Equal(data, _content.AsSpan(512, data.Length).ToArray());
    }

    [Fact]
    public void The_missing_part_of_the_last_sector_reads_as_zeros_and_is_not_written()
    {
        using var server = Serve(bytes: 700);
        using (var port = Open(server))
        {
            byte[] expected = [.. _content.AsSpan(512, 188), .. new byte[324]];
            _image.Ram(0, 512).Fill(9);
            Assert.Equal(expected, _image.Read(port, 512, 512));
            _image.Write(port, 512, new byte[512]);
        }
        server.Dispose();
        Assert.Equal([188, 188, 0], _requests.Select(static request => request.Bytes));
    }

    [Fact]
    public void An_error_reply_fails_its_request_with_the_servers_errno_and_no_other()
    {
        using var server = new ScriptedNbdServer(peer =>
        {
            peer.Handshake(Bytes);
            foreach (var error in (uint[])[EIO, 28, 0])
            {
                var request = peer.ReceiveRequest();
                peer.Reply(request.Handle, error, error == 0 ? _content.AsSpan(0, request.Bytes) : []);
            }
            peer.ReceiveRequest();
        });
        using var port = Open(server);
        var failure = Assert.Throws<IOException>(() => _image.Read(port, 4096, 512));
        Assert.Equal(EIO, failure.HResult);
        Assert.Contains("failed NBD_CMD_READ of 512 bytes at offset 4096: errno 5", failure.Message, StringComparison.Ordinal);
        Assert.Equal(28, Assert.Throws<IOException>(() => _image.Write(port, 0, new byte[512])).HResult);
        Assert.Equal(_content.AsSpan(0, 512).ToArray(), _image.Read(port, 0, 512));
    }
}
