using VmShunt.BlockBackend.Disk.Nbd;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.Disk.Nbd;

/// <summary>Servers that do not answer, and requests that make a server close: every wait has a limit and can be ended.</summary>
public sealed class NbdSilenceTests : IDisposable
{
    private const int Bytes = 1 << 20, Poison = 8192;

    private static readonly TimeSpan s_short = TimeSpan.FromMilliseconds(200), s_patience = TimeSpan.FromSeconds(60);

    private readonly DiskImage _image = new(512);
    private readonly byte[] _content = new byte[Bytes];
    private readonly LogLines _log = new();

    public void Dispose() => _image.Dispose();

    private NbdPortDriver Open(ScriptedNbdServer server, NbdLimits? limits = null) => NbdPortDriver.Open(server.Address, readOnly: false, _log, limits);

    [Fact]
    public void A_server_that_does_not_greet_is_not_waited_for()
    {
        using var done = new ManualResetEventSlim();
        using var server = new ScriptedNbdServer(_ => done.Wait(s_patience));
        var failure = Assert.Throws<IOException>(() => Open(server, NbdLimits.Default with { Connect = s_short }));
        done.Set();
        Assert.Contains("did not answer within 0.2 s", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_server_that_stays_silent_has_lost_the_connection()
    {
        using var server = new ScriptedNbdServer(
            peer =>
            {
                peer.Handshake(Bytes);
                peer.ReceiveRequest();
                // Silent, with the connection open, until the client closes it.
                Assert.Null(peer.TryReceiveRequest());
            },
            peer =>
            {
                peer.Handshake(Bytes);
                peer.Serve(_content);
            });
        using var port = Open(server, NbdLimits.Default with { Silence = s_short });
        _image.Read(port, 0, 512);
        Assert.Contains(_log.All, static line => line.Contains("was lost (the server has not answered for 0.2 s)", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_request_that_makes_the_server_close_fails_and_the_others_are_served()
    {
        Action<NbdPeer> script = peer =>
        {
            peer.Handshake(Bytes);
            while (peer.TryReceiveRequest() is { } request && request.Offset != Poison) peer.Reply(request.Handle, 0, new byte[request.Bytes]);
        };
        using var server = new ScriptedNbdServer([.. Enumerable.Repeat(script, NbdLimits.Default.Losses + 2)]);
        using (var port = Open(server))
        {
            using var stop = new CancellationTokenSource();
            var bystander = Task.Run(() =>
            {
                using var image = new DiskImage(512);
                for (var i = 0; !stop.IsCancellationRequested; i++) image.Read(port, i % 8 * 512, 512);
            });
            var failure = Assert.Throws<IOException>(() => _image.Read(port, Poison, 512));
            Assert.Contains($"closed the connection each of the {NbdLimits.Default.Losses + 1} times that it was sent NBD_CMD_READ of 512 bytes at offset {Poison}", failure.Message, StringComparison.Ordinal);
            _image.Read(port, 0, 512);
            await stop.CancelAsync();
            await bystander.WaitAsync(s_patience);
        }
        // Two lines at the first loss; the others are within a minute.
        Assert.Equal(2, _log.All.Length);
    }

    [Fact]
    public void A_request_that_waits_while_another_one_loses_connections_is_not_blamed()
    {
        const int others = 8;
        Action<NbdPeer> script = peer =>
        {
            peer.Handshake(Bytes);
            while (peer.TryReceiveRequest() is { } request && request.Offset != Poison) peer.Reply(request.Handle, 0, new byte[request.Bytes]);
        };
        using var server = new ScriptedNbdServer([.. Enumerable.Repeat(script, NbdLimits.Default.Losses + 2)]);
        using var port = Open(server);
        using var stop = new CancellationTokenSource();
        var failures = 0;
        var bystanders = Enumerable.Range(0, others).Select(i => new Thread(() =>
        {
            using var image = new DiskImage(512);
            while (!stop.IsCancellationRequested)
            {
                if (Record.Exception(() => image.Read(port, i * 512, 512)) is not null) Interlocked.Increment(ref failures);
            }
        })).ToList();
        bystanders.ForEach(static bystander => bystander.Start());
        Assert.Throws<IOException>(() => _image.Read(port, Poison, 512));
        stop.Cancel();
        bystanders.ForEach(static bystander => Assert.True(bystander.Join(s_patience), "a request does not end"));
        Assert.Equal(0, failures);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_abort_fails_requests_that_wait(bool isGone)
    {
        using var done = new ManualResetEventSlim();
        using var asked = new ManualResetEventSlim();
        using var server = new ScriptedNbdServer(peer =>
        {
            peer.Handshake(Bytes);
            peer.ReceiveRequest();
            asked.Set();
            // Silent, or gone for good: the disk tries to connect again.
            if (!isGone) done.Wait(s_patience);
        });
        using var port = Open(server);
        var read = Task.Run(() => _image.Read(port, 0, 512));
        Assert.True(asked.Wait(s_patience), "the server has the request");
        port.Abort();
        await Assert.ThrowsAsync<IOException>(() => read.WaitAsync(s_patience));
        done.Set();
    }

    [Fact]
    public void Requests_are_no_larger_than_the_server_takes()
    {
        var sizes = new List<int>();
        using var server = new ScriptedNbdServer(peer =>
        {
            peer.Handshake(Bytes, blockSizes: NbdPeer.BlockSizeInfo(512, most: 8192));
            while (peer.TryReceiveRequest() is { } request)
            {
                sizes.Add(request.Bytes);
                peer.Reply(request.Handle, 0, request.Command == NbdCommand.NBD_CMD_READ ? new byte[request.Bytes] : []);
            }
        });
        using (var port = Open(server))
        {
            Assert.Equal((512, 4096), (port.MinBlockBytes, port.Topology.MinIoBytes));
            using var image = new DiskImage(20_480);
            image.Read(port, 0, 20_480);
            image.Write(port, 0, new byte[20_480]);
        }
        server.Dispose();
        Assert.Equal([8192, 8192, 4096, 8192, 8192, 4096], sizes);
    }
}
