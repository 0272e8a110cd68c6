using System.Net.Sockets;
using VmShunt.BlockBackend.Disk;
using VmShunt.BlockDriver;
using VmShunt.Tests.Doubles;
using VmShunt.Tests.Guest.Kernel;

namespace VmShunt.Tests.Guest.Block;

/// <summary>Connecting, losing the back-end, reconnecting and disposing.</summary>
public class BlockDiskLifetimeTests
{
    private const int DiskBytes = 1 << 20;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task A_path_without_a_socket_is_an_error_that_says_what_to_do()
    {
        var error = await Assert.ThrowsAsync<IOException>(() => BlockDisk.ConnectAsync("/nonexistent/disk.sock"));
        Assert.Contains("/nonexistent/disk.sock", error.Message, StringComparison.Ordinal);
        Assert.Contains("BlockDiskOptions.ConnectTimeout", error.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<IOException>(() => BlockDisk.ConnectAsync(new string('x', 500)));
        Assert.Throws<ArgumentException>(() => { _ = BlockDisk.ConnectAsync(""); });
    }

    [Fact]
    public async Task A_back_end_that_starts_later_is_waited_for()
    {
        var path = NewPath();
        var connecting = BlockDisk.ConnectAsync(path, new BlockDiskOptions { ConnectTimeout = s_patience });
        Assert.False(connecting.IsCompleted);
        using var served = new ServedSocket(new MemoryPortDriver(DiskBytes), path: path);
        await using var disk = await connecting;
        Assert.Equal(DiskBytes, disk.Length);
    }

    [Fact]
    public async Task Waiting_for_a_back_end_can_be_cancelled()
    {
        using var cancel = new CancellationTokenSource();
        var connecting = BlockDisk.ConnectAsync(NewPath(), new BlockDiskOptions { ConnectTimeout = s_patience }, cancel.Token);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => connecting);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_process_that_is_no_back_end_is_an_error(bool closes)
    {
        var path = NewPath();
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        var connecting = BlockDisk.ConnectAsync(path, new BlockDiskOptions { ResponseTimeout = TimeSpan.FromMilliseconds(80) });
        using (var accepted = await listener.AcceptAsync())
        {
            if (closes) accepted.Close();
            await Assert.ThrowsAsync<IOException>(() => connecting.WaitAsync(s_patience));
        }
        File.Delete(path);
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(257, 0)]
    [InlineData(1, -1)]
    public void Options_out_of_range_say_the_range(int queues, int polled) =>
        Assert.Contains("must be", Assert.Throws<ArgumentOutOfRangeException>(() => new BlockDiskOptions { Queues = queues, PolledQueues = polled }).Message, StringComparison.Ordinal);

    [Fact]
    public async Task After_dispose_every_call_throws_and_a_second_dispose_has_no_effect()
    {
        using var served = new ServedSocket(new MemoryPortDriver(DiskBytes));
        var disk = await BlockDisk.ConnectAsync(served.Path, new BlockDiskOptions { PolledQueues = 1 });
        var buffer = disk.Rent(512);
        var queue = disk.Queue(0);
        await disk.DisposeAsync();
        await disk.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => disk.ReadAsync(buffer.Memory, 0).AsTask());
        await Assert.ThrowsAsync<ObjectDisposedException>(() => disk.WriteAsync(buffer.Memory, 0).AsTask());
        await Assert.ThrowsAsync<ObjectDisposedException>(() => disk.FlushAsync().AsTask());
        await Assert.ThrowsAsync<ObjectDisposedException>(() => disk.DiscardAsync(0, 512).AsTask());
        await Assert.ThrowsAsync<ObjectDisposedException>(() => disk.WriteZeroesAsync(0, 512).AsTask());
        Assert.Throws<ObjectDisposedException>(() => { _ = disk.Rent(512); });
        Assert.Throws<ObjectDisposedException>(() => disk.Queue(0));
        Assert.Throws<ObjectDisposedException>(() => queue.TryRead(buffer.Memory, 0));
        Assert.Throws<ObjectDisposedException>(() => queue.Poll(new Completion[1]));
        buffer.Span.Fill(1);
        buffer.Dispose();
        buffer.Dispose();
        Assert.Throws<ObjectDisposedException>(() => buffer.Span.Length);
    }

    [Fact]
    public async Task Dispose_waits_for_a_request_in_flight()
    {
        using var port = new GatedPortDriver(DiskBytes);
        using var served = new ServedSocket(port);
        var disk = await BlockDisk.ConnectAsync(served.Path, new BlockDiskOptions { DrainTimeout = s_patience });
        var flush = disk.FlushAsync().AsTask();
        port.AwaitOperation();
        var disposal = disk.DisposeAsync().AsTask();
        Assert.False(disposal.IsCompleted);
        port.Open();
        await Task.WhenAll(flush, disposal).WaitAsync(s_patience);
    }

    // The back-end is given 5 s to release the memory.
    [Fact]
    public async Task Dispose_fails_what_a_back_end_does_not_complete_in_time()
    {
        using var port = new GatedPortDriver(DiskBytes);
        using var served = new ServedSocket(port);
        var disk = await BlockDisk.ConnectAsync(served.Path, new BlockDiskOptions { DrainTimeout = TimeSpan.FromMilliseconds(1) });
        var flush = disk.FlushAsync().AsTask();
        port.AwaitOperation();
        await disk.DisposeAsync().AsTask().WaitAsync(s_patience);
        Assert.Equal(BlockStatus.Disconnected, (await Assert.ThrowsAsync<BlockDiskException>(() => flush.WaitAsync(s_patience))).Status);
        port.Open();
    }

    [Fact]
    public async Task A_disk_can_be_disposed_on_the_thread_of_its_virtqueue()
    {
        using var port = new GatedPortDriver(DiskBytes);
        using var served = new ServedSocket(port);
        var disk = await BlockDisk.ConnectAsync(served.Path, new BlockDiskOptions { AllowSynchronousContinuations = true });
        var disposal = FlushAndDisposeAsync();
        port.AwaitOperation();
        port.Open();
        await disposal.WaitAsync(s_patience);

        async Task FlushAndDisposeAsync()
        {
            await disk.FlushAsync().ConfigureAwait(false);
            await disk.DisposeAsync().ConfigureAwait(false);
        }
    }

    [Fact]
    public async Task Requests_wait_while_the_back_end_is_lost_and_complete_on_the_next()
    {
        var served = new ServedSocket(new MemoryPortDriver(DiskBytes));
        var log = new List<string>();
        await using var disk = await BlockDisk.ConnectAsync(served.Path, new BlockDiskOptions { Log = Add });
        served.Dispose();
        var reads = Enumerable.Range(0, 20).Select(_ => disk.ReadAsync(new byte[512], 0).AsTask()).ToArray();
        Assert.True(SpinWait.SpinUntil(() => Lines().Length > 0, s_patience));
        Assert.Equal(0, disk.Reconnects);
        using var next = new ServedSocket(new MemoryPortDriver(DiskBytes), path: served.Path);
        await Task.WhenAll(reads).WaitAsync(s_patience);
        Assert.Equal(1, disk.Reconnects);
        Assert.True(SpinWait.SpinUntil(() => Lines().Length == 2, s_patience));
        Assert.Contains("requests are held", Lines()[0], StringComparison.Ordinal);

        void Add(string line)
        {
            lock (log) log.Add(line);
        }

        string[] Lines()
        {
            lock (log) return [.. log];
        }
    }

    [Fact]
    public async Task A_log_that_throws_does_not_end_the_reconnect()
    {
        var served = new ServedSocket(new MemoryPortDriver(DiskBytes));
        await using var disk = await BlockDisk.ConnectAsync(served.Path, new BlockDiskOptions { Log = static _ => throw new InvalidOperationException("as the test says") });
        served.Dispose();
        using var next = new ServedSocket(new MemoryPortDriver(DiskBytes), path: served.Path);
        await disk.ReadAsync(new byte[512], 0).AsTask().WaitAsync(s_patience);
        Assert.True(SpinWait.SpinUntil(() => disk.Reconnects == 1, s_patience));
    }

    [Fact]
    public async Task Requests_fail_while_the_back_end_is_lost_if_the_options_say_so()
    {
        var served = new ServedSocket(new MemoryPortDriver(DiskBytes));
        await using var disk = await BlockDisk.ConnectAsync(served.Path, new BlockDiskOptions { OnDisconnect = DisconnectPolicy.Fail });
        served.Dispose();
        for (var i = 0; i < 3; i++)
        {
            var error = await Assert.ThrowsAsync<BlockDiskException>(() => disk.WriteAsync(new byte[512], 0).AsTask().WaitAsync(s_patience));
            Assert.Equal(BlockStatus.Disconnected, error.Status);
            Assert.Contains("repeat it when the disk is connected again", error.Message, StringComparison.Ordinal);
        }
        using var next = new ServedSocket(new MemoryPortDriver(DiskBytes), path: served.Path);
        Assert.True(SpinWait.SpinUntil(() => disk.Reconnects == 1, s_patience));
        await disk.WriteAsync(new byte[512], 0).AsTask().WaitAsync(s_patience);
    }

    private static string NewPath() => Path.Combine(Path.GetTempPath(), $"vmshunt-disk-{Guid.NewGuid():N}");
}
