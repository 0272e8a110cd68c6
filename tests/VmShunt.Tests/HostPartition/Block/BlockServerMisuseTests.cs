using Microsoft.Extensions.Logging;
using VmShunt.AhciBackend;
using VmShunt.BlockBackend;
using VmShunt.BlockDriver;
using VmShunt.Tests.Doubles;
using VmShunt.Tests.HostPartition.Block.Own;
using VmShunt.Tests.Hypervisor;
using BlockDisk = VmShunt.BlockDriver.BlockDisk;

namespace VmShunt.Tests.HostPartition.Block;

/// <summary>What the user of the package does wrong with a disk and its server: an exception or a log line says what to do.</summary>
public sealed class BlockServerMisuseTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private readonly LogLines _log = new();
    private readonly string _path = RunningHypervisor.NewSocket();

    [Fact]
    public void A_disk_is_served_by_one_server_at_a_time()
    {
        var disk = new RecordedDisk(1 << 20);
        using (new BlockServer(disk, new BlockServerOptions { LeaveOpen = true }))
            Expect<InvalidOperationException>("have one server listen on several sockets", () => _ = new BlockServer(disk));
        new BlockServer(disk).Dispose();
        Assert.Throws<ObjectDisposedException>(() => new BlockServer(disk));
        // A disk that was refused is not claimed.
        var odd = new RecordedDisk(4096) { ReportedLength = 1000 };
        Assert.Throws<ArgumentException>(() => new BlockServer(odd));
        odd.ReportedLength = 4096;
        new BlockServer(odd).Dispose();
    }

    [Fact]
    public void A_disk_is_not_disposed_while_it_is_served()
    {
        var disk = HostDisk.Open("memory:1M");
        using (var server = new BlockServer(disk, new BlockServerOptions { LeaveOpen = true }))
        {
            Expect<InvalidOperationException>("dispose its BlockServer first", disk.Dispose);
            Assert.Equal(2048UL, server.Disk.SectorCount);
        }
        disk.Dispose();
        Assert.Throws<ObjectDisposedException>(() => new BlockServer(disk));
    }

    [Fact]
    public async Task A_server_that_its_own_disk_disposes_says_where_to_do_it_and_serves_on()
    {
        var disk = new RecordedDisk(1 << 20);
        using var server = new BlockServer(disk, new BlockServerOptions { Log = _log });
        server.ListenVhostUser(_path);
        await using var guest = await BlockDisk.ConnectAsync(_path);
        disk.During = server.Dispose;
        await Assert.ThrowsAsync<BlockDiskException>(() => guest.ReadAsync(new byte[512], 0).AsTask().WaitAsync(s_patience));
        Assert.Contains(_log.All, static line => line.Contains("BlockServer.Dispose was called on a thread that serves the disk", StringComparison.Ordinal));
        disk.During = null;
        await guest.ReadAsync(new byte[512], 0).AsTask().WaitAsync(s_patience);
    }

    [Fact]
    public async Task What_a_handler_of_SessionsChanged_throws_is_logged()
    {
        using var server = new BlockServer(new RecordedDisk(1 << 20), new BlockServerOptions { Log = _log });
        server.SessionsChanged += _ => server.Dispose();
        server.ListenVhostUser(_path);
        await using (var guest = await BlockDisk.ConnectAsync(_path)) await guest.ReadAsync(new byte[512], 0).AsTask().WaitAsync(s_patience);
        Assert.True(SpinWait.SpinUntil(() => Lines() == 2, s_patience));

        int Lines() => _log.All.Count(static line => line.Contains("a handler of BlockServer.SessionsChanged threw InvalidOperationException: BlockServer.Dispose was called", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_log_that_throws_ends_neither_a_session_nor_the_process()
    {
        var disk = new RecordedDisk(1 << 20) { Fault = new InvalidOperationException("as the test says") };
        using var server = new BlockServer(disk, new BlockServerOptions { Log = new BrokenLog() });
        server.ListenVhostUser(_path);
        await using var guest = await BlockDisk.ConnectAsync(_path);
        await Assert.ThrowsAsync<BlockDiskException>(() => guest.ReadAsync(new byte[512], 0).AsTask().WaitAsync(s_patience));
        disk.Fault = null;
        await guest.ReadAsync(new byte[512], 0).AsTask().WaitAsync(s_patience);
    }

    [Theory]
    [InlineData(512, 0)]
    [InlineData(512, 768)]
    [InlineData(4096, 512)]
    [InlineData(512, 131072)]
    public void A_physical_block_size_that_no_disk_has_is_rejected(int logical, int physical) =>
        Expect<ArgumentException>($"RecordedDisk.PhysicalBlockSize is {physical}; it takes a power of two", () => _ = new BlockServer(new RecordedDisk(1 << 20, logical) { Physical = physical }));

    [Fact]
    public void Two_servers_on_one_socket_are_refused_on_both_paths()
    {
        using var server = new BlockServer(new RecordedDisk(1 << 20));
        server.ListenVhostUser(_path);
        using var other = new BlockServer(new RecordedDisk(1 << 20));
        Expect<IOException>("another process is listening there", () => other.ListenVhostUser(_path));
        Expect<IOException>("another process is listening there", () => other.ListenVfioUser(_path));
    }

    private static void Expect<T>(string message, Action action) where T : Exception =>
        Assert.Contains(message, Assert.Throws<T>(action).Message, StringComparison.Ordinal);

    private sealed class BrokenLog : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            throw new IOException("No space left on device");
    }
}
