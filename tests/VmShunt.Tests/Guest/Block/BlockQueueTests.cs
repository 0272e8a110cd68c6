using VmShunt.BlockBackend.Disk;
using VmShunt.BlockDriver;
using VmShunt.Tests.Doubles;
using VmShunt.Tests.Guest.Kernel;

namespace VmShunt.Tests.Guest.Block;

/// <summary>A virtqueue of the public disk that one thread polls.</summary>
public class BlockQueueTests
{
    private const int DiskBytes = 4 << 20;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);
    private static readonly BlockDiskOptions s_options = new() { PolledQueues = 1 };

    private readonly Completion[] _completions = new Completion[256];

    [Theory]
    [InlineData(RingLayout.Split)]
    [InlineData(RingLayout.Packed)]
    public async Task Requests_complete_with_their_tags_and_data(RingLayout layout)
    {
        using var served = new ServedSocket(new MemoryPortDriver(DiskBytes));
        await using var disk = await BlockDisk.ConnectAsync(served.Path, new BlockDiskOptions { PolledQueues = 1, Layout = layout });
        using var buffer = disk.Rent(64 * 1024);
        OnOneThread(() =>
        {
            var queue = disk.Queue(0);
            Random.Shared.NextBytes(buffer.Span);
            var expected = buffer.Span.ToArray();
            for (var i = 0; i < 16; i++) Assert.True(queue.TryWrite(buffer.Memory.Slice(i * 4096, 4096), i * 4096L, tag: 100 + i));
            Assert.Equal(16, queue.InFlight);
            queue.Submit();
            Assert.Equal(Enumerable.Range(100, 16).Select(static i => (long)i), Poll(queue, 16).Select(static one => one.Tag).Order());
            Assert.True(queue.TryFlush(tag: 7));
            queue.Submit();
            Assert.Equal((7, true), (Poll(queue, 1)[0].Tag, _completions[0].IsSuccess));
            buffer.Span.Clear();
            for (var i = 0; i < 16; i++) Assert.True(queue.TryRead(buffer.Memory.Slice(i * 4096, 4096), i * 4096L));
            queue.Submit();
            Assert.All(Poll(queue, 16), static one => Assert.Equal(BlockStatus.Ok, one.Status));
            Assert.Equal(expected, buffer.Span.ToArray());
            Assert.Equal(0, queue.InFlight);
        });
        Assert.Equal(0, disk.CopiedRequests);
    }

    [Fact]
    public async Task A_full_queue_accepts_no_request_until_completions_were_polled()
    {
        using var served = new ServedSocket(new MemoryPortDriver(DiskBytes));
        await using var disk = await BlockDisk.ConnectAsync(served.Path, s_options);
        using var buffer = disk.Rent(512);
        OnOneThread(() =>
        {
            var queue = disk.Queue(0);
            for (var round = 0; round < 3; round++)
            {
                for (var i = 0; i < queue.Capacity; i++) Assert.True(queue.TryRead(buffer.Memory, 0));
                Assert.False(queue.TryRead(buffer.Memory, 0));
                queue.Submit();
                Poll(queue, queue.Capacity);
            }
        });
    }

    [Fact]
    public async Task A_request_allocates_nothing()
    {
        using var served = new ServedSocket(new MemoryPortDriver(DiskBytes));
        await using var disk = await BlockDisk.ConnectAsync(served.Path, s_options);
        using var buffer = disk.Rent(8192);
        OnOneThread(() =>
        {
            var queue = disk.Queue(0);
            Assert.Equal(0, Allocation.OfHundred(() =>
            {
                queue.TryWrite(buffer.Memory[..4096], 0);
                queue.TryRead(buffer.Memory[4096..], 0);
                queue.TryFlush();
                queue.Submit();
                for (var left = 3; left > 0; left -= queue.Poll(_completions))
                {
                }
            }));
        });
    }

    [Fact]
    public async Task A_failed_request_completes_with_its_status()
    {
        using var served = new ServedSocket(new FaultyPortDriver(DiskBytes));
        await using var disk = await BlockDisk.ConnectAsync(served.Path, s_options);
        using var buffer = disk.Rent(512);
        OnOneThread(() =>
        {
            var queue = disk.Queue(0);
            queue.TryRead(buffer.Memory, 0, tag: 3);
            queue.Submit();
            var one = Assert.Single(Poll(queue, 1));
            Assert.Equal((3, BlockStatus.IoError, false), (one.Tag, one.Status, one.IsSuccess));
        });
    }

    [Fact]
    public async Task A_call_from_a_second_thread_throws()
    {
        using var served = new ServedSocket(new MemoryPortDriver(DiskBytes));
        await using var disk = await BlockDisk.ConnectAsync(served.Path, s_options);
        using var buffer = disk.Rent(512);
        var queue = disk.Queue(0);
        OnOneThread(() => Assert.True(queue.TryRead(buffer.Memory, 0)));
        OnOneThread(() =>
        {
            Assert.Contains("a queue of its own", Assert.Throws<InvalidOperationException>(() => queue.TryRead(buffer.Memory, 0)).Message, StringComparison.Ordinal);
            Assert.Throws<InvalidOperationException>(() => queue.TryFlush());
            Assert.Throws<InvalidOperationException>(queue.Submit);
            Assert.Throws<InvalidOperationException>(() => queue.Poll(_completions));
        });
    }

    [Fact]
    public async Task Misuse_is_an_argument_exception()
    {
        using var served = new ServedSocket(new MemoryPortDriver(DiskBytes * 4));
        await using var disk = await BlockDisk.ConnectAsync(served.Path, s_options);
        using var buffer = disk.Rent(2 * disk.MaxTransferBytes);
        OnOneThread(() =>
        {
            var queue = disk.Queue(0);
            Assert.Contains("BlockDisk.Rent", Assert.Throws<ArgumentException>(() => queue.TryRead(new byte[512], 0)).Message, StringComparison.Ordinal);
            Assert.Contains("split it", Assert.Throws<ArgumentException>(() => queue.TryRead(buffer.Memory, 0)).Message, StringComparison.Ordinal);
            Assert.Throws<ArgumentOutOfRangeException>(() => queue.TryWrite(buffer.Memory[..100], 0));
            Assert.Throws<ArgumentOutOfRangeException>(() => queue.TryWrite(buffer.Memory[..512], 1));
            Assert.Throws<ArgumentOutOfRangeException>(() => queue.TryWrite(buffer.Memory[..512], disk.Length));
            Assert.Equal(0, queue.InFlight);
        });
        // The back-end offers two queues, of which one has a thread.
        Assert.Equal(1, disk.PolledQueueCount);
        Assert.Contains("PolledQueues", Assert.Throws<ArgumentOutOfRangeException>(() => disk.Queue(1)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_buffer_disposed_while_the_queue_has_it_is_recycled_after_its_completion()
    {
        using var port = new GatedPortDriver(DiskBytes);
        using var served = new ServedSocket(port);
        await using var disk = await BlockDisk.ConnectAsync(served.Path, s_options);
        OnOneThread(() =>
        {
            var queue = disk.Queue(0);
            var buffer = disk.Rent(4096);
            var memory = buffer.Memory;
            queue.TryRead(memory, 0);
            queue.Submit();
            port.AwaitOperation();
            buffer.Dispose();
            Assert.Throws<ObjectDisposedException>(() => queue.TryRead(memory, 0));
            using var other = disk.Rent(4096);
            other.Span.Fill(1);
            port.Open();
            Poll(queue, 1);
            Assert.True(other.Span.IndexOfAnyExcept((byte)1) < 0);
        });
    }

    [Theory]
    [InlineData(DisconnectPolicy.Resubmit)]
    [InlineData(DisconnectPolicy.Fail)]
    public async Task Requests_of_a_lost_back_end_are_resubmitted_or_fail(DisconnectPolicy policy)
    {
        var served = new ServedSocket(new MemoryPortDriver(DiskBytes));
        await using var disk = await BlockDisk.ConnectAsync(served.Path, new BlockDiskOptions { PolledQueues = 1, OnDisconnect = policy });
        using var buffer = disk.Rent(512);
        OnOneThread(() =>
        {
            var queue = disk.Queue(0);
            Assert.True(queue.TryRead(buffer.Memory, 0, tag: 1));
            Assert.True(queue.TryFlush(tag: 2));
            served.Dispose();
            queue.Submit();
            if (policy == DisconnectPolicy.Fail)
            {
                Assert.All(Poll(queue, 2), static one => Assert.Equal(BlockStatus.Disconnected, one.Status));
                Assert.True(queue.TryRead(buffer.Memory, 0, tag: 3));
                Assert.Equal((3, BlockStatus.Disconnected), (Poll(queue, 1)[0].Tag, _completions[0].Status));
            }
            using var next = new ServedSocket(new MemoryPortDriver(DiskBytes), path: served.Path);
            if (policy == DisconnectPolicy.Fail) Assert.True(SpinWait.SpinUntil(() => disk.Reconnects == 1, s_patience));
            else Assert.Equal([1L, 2L], Poll(queue, 2).Where(static one => one.IsSuccess).Select(static one => one.Tag).Order());
            Assert.True(queue.TryRead(buffer.Memory, 0, tag: 4));
            queue.Submit();
            Assert.Equal((4, BlockStatus.Ok), (Poll(queue, 1)[0].Tag, _completions[0].Status));
            disk.DisposeAsync().AsTask().Wait(s_patience);
        });
    }

    [Fact]
    public async Task A_disk_can_be_disposed_while_a_thread_polls_its_queue()
    {
        using var served = new ServedSocket(new MemoryPortDriver(DiskBytes));
        var disk = await BlockDisk.ConnectAsync(served.Path, s_options);
        using var buffer = disk.Rent(4096);
        var polling = Task.Factory.StartNew(
            () =>
            {
                var queue = disk.Queue(0);
                while (true)
                {
                    queue.TryRead(buffer.Memory, 0);
                    queue.Submit();
                    queue.Poll(_completions);
                }
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await disk.ReadAsync(new byte[512], 0);
        await disk.DisposeAsync().AsTask().WaitAsync(s_patience);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => polling.WaitAsync(s_patience));
    }

    [Fact]
    public async Task A_thread_that_waits_is_woken_by_a_completion_and_by_the_disposal()
    {
        using var port = new GatedPortDriver(DiskBytes);
        using var served = new ServedSocket(port);
        var disk = await BlockDisk.ConnectAsync(served.Path, s_options);
        var woken = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var waiting = Task.Factory.StartNew(
            () =>
            {
                var queue = disk.Queue(0);
                queue.Wait(TimeSpan.Zero);
                queue.TryFlush();
                queue.Submit();
                while (queue.Poll(_completions) == 0) queue.Wait(Timeout.InfiniteTimeSpan);
                woken.SetResult();
                while (true) queue.Wait(Timeout.InfiniteTimeSpan);
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        port.AwaitOperation();
        port.Open();
        await woken.Task.WaitAsync(s_patience);
        await disk.DisposeAsync().AsTask().WaitAsync(s_patience);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => waiting.WaitAsync(s_patience));
    }

    private static void OnOneThread(Action body)
    {
        var run = Task.Factory.StartNew(body, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        run.GetAwaiter().GetResult();
    }

    private Completion[] Poll(BlockQueue queue, int count)
    {
        var polled = 0;
        Assert.True(SpinWait.SpinUntil(() => (polled += queue.Poll(_completions.AsSpan(polled))) >= count, s_patience));
        Assert.Equal(count, polled);
        return _completions[..count];
    }
}
