using VmShunt.BlockBackend;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Notification;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;
using VmShunt.Tests.HostPartition.Block.Own;
using VmShunt.Tests.Hypervisor;

namespace VmShunt.Tests.HostPartition.Block;

public sealed class BlockServerTests
{
    private readonly LogLines _log = new();
    private readonly string _path = RunningHypervisor.NewSocket();

    [Fact]
    public void Each_vhost_user_session_has_a_device_of_its_own_and_two_log_lines()
    {
        using (var server = new BlockServer(HostDisk.Open("memory:1M"), new BlockServerOptions { Queues = 2, QueueSize = 128, Wait = WaitPolicy.Never, Pollers = 0, Log = _log }))
        {
            server.ListenVhostUser(_path);
            using var one = Open();
            using var other = Open();
            // One guest's cache mode is not another's.
            Assert.True(one.TryWriteConfig([0], VirtioBlkConfig.WriteCacheOffset));
            Assert.Equal((0, 1), (WriteCache(one), WriteCache(other)));
        }
        Assert.Equal(
            ["ring: session 1 closed: rings stopped, guest memory released (the front-end closed it)", "ring: session 1 opened",
             "ring: session 2 closed: rings stopped, guest memory released (the front-end closed it)", "ring: session 2 opened"],
            _log.All.Order(StringComparer.Ordinal));

        VhostUserFrontend Open() => VhostUserFrontend.Open(UnixConnection.Connect(_path), ulong.MaxValue & ~(1UL << 30), (ulong)VirtioBlkFeatures.Version1);

        static byte WriteCache(VhostUserFrontend frontend)
        {
            var config = new byte[VirtioBlkConfig.WriteCacheOffset + 1];
            Assert.True(frontend.TryReadConfig(config));
            return config[^1];
        }
    }

    [Fact]
    public async Task It_serves_until_it_is_cancelled_and_closes_socket_sessions_and_disk()
    {
        var disk = new RecordedDisk(1 << 20);
        var server = new BlockServer(disk);
        server.ListenVhostUser(_path);
        using var stop = new CancellationTokenSource();
        var run = server.RunAsync(stop.Token);
        using var session = UnixConnection.Connect(_path);
        Assert.True(SpinWait.SpinUntil(() => server.Sessions == 1, 60_000));
        Assert.False(run.IsCompleted);
        await stop.CancelAsync();
        await run;
        Assert.Equal((0, true, false), (server.Sessions, disk.IsDisposed, File.Exists(_path)));
        await server.DisposeAsync();
        Assert.Throws<ObjectDisposedException>(() => server.ListenVhostUser(_path));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => server.RunAsync(default));
        await using var deaf = new BlockServer(new RecordedDisk(1 << 20));
        Assert.Contains("call ListenVhostUser first", (await Assert.ThrowsAsync<InvalidOperationException>(() => deaf.RunAsync(default))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_disk_that_is_left_open_serves_again()
    {
        var disk = new RecordedDisk(1 << 20);
        for (var i = 0; i < 2; i++)
        {
            using var server = new BlockServer(disk, new BlockServerOptions { LeaveOpen = true });
            server.ListenVhostUser(_path);
        }
        Assert.False(disk.IsDisposed);
        using var host = HostDisk.Open("memory:1M");
        new BlockServer(host, new BlockServerOptions { LeaveOpen = true }).Dispose();
        using (var server = new BlockServer(host)) Assert.Equal(2048UL, server.Disk.SectorCount);
    }

    [Fact]
    public void Wrong_options_and_disks_are_rejected_with_what_they_take()
    {
        Expect("Queues is 65; it takes 1 to 64", () => new BlockServer(new RecordedDisk(512), new BlockServerOptions { Queues = 65 }));
        Expect("QueueSize is 100; it takes a power of two up to 32768", () => new BlockServer(new RecordedDisk(512), new BlockServerOptions { QueueSize = 100 }));
        Expect("MaxConcurrency is 0; it takes at least 1", () => new BlockServer(new RecordedDisk(512), new BlockServerOptions { MaxConcurrency = 0 }));
        Expect("RecordedDisk.LogicalBlockSize is 1024; it takes 512 or 4096", () => new BlockServer(new RecordedDisk(4096, blockSize: 1024)));
        Expect("the disk RecordedDisk has a Length of 1000 bytes; a positive multiple of its LogicalBlockSize, 512, is needed", () => new BlockServer(new RecordedDisk(1000)));
        Expect("the disk RecordedDisk has a Length of 0 bytes", () => new BlockServer(new RecordedDisk(0)));

        static void Expect(string message, Func<BlockServer> make) => Assert.Contains(message, Assert.Throws<ArgumentException>(make).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_socket_that_cannot_be_served_is_rejected_with_the_reason()
    {
        using var server = new BlockServer(new RecordedDisk(1 << 20));
        server.ListenVhostUser(_path);
        using var other = new BlockServer(new RecordedDisk(1 << 20));
        Expect("another process is listening there", () => other.ListenVhostUser(_path));
        Expect("there is no folder /nonexistent", () => other.ListenVhostUser("/nonexistent/socket"));
        Expect("the path has 200 bytes, and a socket's has at most 107", () => other.ListenVhostUser("/" + new string('a', 199)));

        static void Expect(string message, Action listen) => Assert.Contains(message, Assert.Throws<IOException>(listen).Message, StringComparison.Ordinal);
    }
}
