using System.Runtime.InteropServices;
using VmShunt.BlockBackend.Disk;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Memory;
using VmShunt.Tests.Doubles;
using VmShunt.Tests.Guest.Kernel;

namespace VmShunt.Tests.Guest.Block;

/// <summary>The public disk of the block driver, on a back-end in this process.</summary>
public class BlockDiskTests
{
    private const int DiskBytes = 32 << 20, BlockBytes = 512;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task A_disk_reads_back_what_it_wrote_and_copies_only_memory_that_is_not_rented()
    {
        using var served = new ServedSocket(new MemoryPortDriver(DiskBytes));
        await using var disk = await BlockDisk.ConnectAsync(served.Path);
        using var rented = disk.Rent(8192);
        Random.Shared.NextBytes(rented.Span);
        var expected = rented.Span.ToArray();
        await disk.WriteAsync(rented.Memory, 4096);
        rented.Span.Clear();
        await disk.ReadAsync(rented.Memory[..4096], 4096);
        await disk.ReadAsync(rented.Memory[4096..], 8192);
        Assert.Equal(expected, rented.Span.ToArray());
        Assert.Equal(0, disk.CopiedRequests);

        var own = new byte[8192];
        await disk.ReadAsync(own, 4096);
        Assert.Equal(expected, own);
        own.AsSpan().Reverse();
        await disk.WriteAsync(own, 0);
        await disk.FlushAsync();
        await disk.ReadAsync(rented.Memory, 0);
        Assert.Equal(own, rented.Span.ToArray());
        Assert.Equal(2, disk.CopiedRequests);
    }

    [Fact]
    public async Task Memory_rented_from_another_disk_is_copied()
    {
        using var served = new ServedSocket(new MemoryPortDriver(DiskBytes));
        await using var disk = await BlockDisk.ConnectAsync(served.Path);
        await using var other = await BlockDisk.ConnectAsync(served.Path);
        using var buffer = other.Rent(BlockBytes);
        buffer.Span.Fill(0x5A);
        await disk.WriteAsync(buffer.Memory, 0);
        buffer.Span.Clear();
        await disk.ReadAsync(buffer.Memory, 0);
        Assert.True(buffer.Span.IndexOfAnyExcept((byte)0x5A) < 0);
        Assert.Equal(2, disk.CopiedRequests);
    }

    [Fact]
    public async Task It_says_what_the_back_end_offers()
    {
        using var served = new ServedSocket(new MemoryPortDriver(DiskBytes));
        await using var disk = await BlockDisk.ConnectAsync(served.Path, new BlockDiskOptions { Queues = 8 });
        Assert.Equal((DiskBytes, BlockBytes, false, "SERVED"), (disk.Length, disk.LogicalBlockSize, disk.IsReadOnly, disk.Serial));
        Assert.Equal((0, 0), (disk.PolledQueueCount, disk.Reconnects));
        Assert.Equal(0, disk.MaxTransferBytes % BlockBytes);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_transfer_longer_than_one_request_is_split(bool isRented)
    {
        using var served = new ServedSocket(new MemoryPortDriver(DiskBytes));
        await using var disk = await BlockDisk.ConnectAsync(served.Path);
        var bytes = 2 * disk.MaxTransferBytes + BlockBytes;
        using var rented = disk.Rent(bytes);
        var memory = isRented ? rented.Memory : new byte[bytes];
        Random.Shared.NextBytes(memory.Span);
        var expected = memory.ToArray();
        await disk.WriteAsync(memory, BlockBytes);
        memory.Span.Clear();
        await disk.ReadAsync(memory, BlockBytes);
        Assert.True(memory.Span.SequenceEqual(expected));
    }

    [Fact]
    public async Task Discarded_and_zeroed_ranges_of_any_length_read_as_zeros_and_leave_the_rest()
    {
        using var served = new ServedSocket(new MemoryPortDriver(DiskBytes));
        await using var disk = await BlockDisk.ConnectAsync(served.Path);
        var content = new byte[4 << 20];
        content.AsSpan().Fill(0xFF);
        await disk.WriteAsync(content, 0);
        await disk.WriteZeroesAsync(BlockBytes, (3 << 20) - BlockBytes);
        await disk.DiscardAsync(3 << 20, (1 << 20) - BlockBytes);
        await disk.ReadAsync(content, 0);
        var zeros = content.AsSpan(BlockBytes, content.Length - 2 * BlockBytes);
        Assert.True(zeros.IndexOfAnyExcept((byte)0) < 0);
        Assert.True(content.AsSpan(0, BlockBytes).IndexOfAnyExcept((byte)0xFF) < 0 && content.AsSpan(content.Length - BlockBytes).IndexOfAnyExcept((byte)0xFF) < 0);
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(0, 100)]
    [InlineData(100, 512)]
    [InlineData(-512, 512)]
    [InlineData(DiskBytes, 512)]
    [InlineData(DiskBytes - 512, 1024)]
    [InlineData(long.MaxValue - 511, 512)]
    public async Task An_offset_or_a_length_that_is_wrong_is_an_argument_exception_and_nothing_is_submitted(long offset, int length)
    {
        using var served = new ServedSocket(new FaultyPortDriver(DiskBytes));
        await using var disk = await BlockDisk.ConnectAsync(served.Path);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => disk.ReadAsync(new byte[length], offset).AsTask());
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => disk.WriteAsync(new byte[length], offset).AsTask());
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => disk.DiscardAsync(offset, length).AsTask());
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => disk.WriteZeroesAsync(offset, length).AsTask());
    }

    [Fact]
    public async Task A_request_that_the_back_end_fails_throws_with_its_status_and_place()
    {
        using var served = new ServedSocket(new FaultyPortDriver(DiskBytes));
        await using var disk = await BlockDisk.ConnectAsync(served.Path);
        var error = await Assert.ThrowsAsync<BlockDiskException>(async () => await disk.ReadAsync(new byte[4096], 8192));
        Assert.Equal((BlockStatus.IoError, 8192, 4096), (error.Status, error.Offset, error.Length));
        Assert.Equal("a read of 4,096 bytes at offset 8,192 failed: the back-end reports an I/O error (VIRTIO_BLK_S_IOERR); its log may have the cause", error.Message);
        await Assert.ThrowsAsync<BlockDiskException>(async () => await disk.FlushAsync());
    }

    [Fact]
    public async Task A_read_only_disk_takes_no_write()
    {
        using var served = new ServedSocket(new FaultyPortDriver(DiskBytes, readOnly: true));
        await using var disk = await BlockDisk.ConnectAsync(served.Path);
        Assert.True(disk.IsReadOnly);
        await Assert.ThrowsAsync<NotSupportedException>(() => disk.WriteAsync(new byte[512], 0).AsTask());
        await Assert.ThrowsAsync<NotSupportedException>(() => disk.DiscardAsync(0, 512).AsTask());
    }

    [Fact]
    public async Task Cancelling_ends_the_wait_and_the_buffer_is_recycled_when_the_back_end_has_returned_it()
    {
        using var port = new GatedPortDriver(DiskBytes);
        using var served = new ServedSocket(port);
        await using var disk = await BlockDisk.ConnectAsync(served.Path);
        using var cancel = new CancellationTokenSource();
        var buffer = disk.Rent(4096);
        var address = AddressOf(buffer);
        var read = disk.ReadAsync(buffer.Memory, 0, cancel.Token).AsTask();
        port.AwaitOperation();
        await cancel.CancelAsync();
        Assert.Equal(cancel.Token, (await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read.WaitAsync(s_patience))).CancellationToken);
        buffer.Dispose();
        using (var next = disk.Rent(4096)) Assert.NotEqual(address, AddressOf(next));

        port.Open();
        Assert.True(SpinWait.SpinUntil(
            () =>
            {
                // The one that was just returned is the last in the queue.
                using BlockBuffer one = disk.Rent(4096), two = disk.Rent(4096);
                return AddressOf(one) == address || AddressOf(two) == address;
            },
            s_patience));
    }

    [Fact]
    public async Task A_cancelled_read_into_memory_that_is_not_rented_leaves_it_as_it_was()
    {
        using var port = new GatedPortDriver(DiskBytes);
        using var served = new ServedSocket(port);
        await using var disk = await BlockDisk.ConnectAsync(served.Path);
        using var cancel = new CancellationTokenSource();
        var memory = new byte[4096];
        var read = disk.ReadAsync(memory, 0, cancel.Token).AsTask();
        port.AwaitOperation();
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read.WaitAsync(s_patience));
        port.Open(2);
        // Completes after the read, on the same virtqueue's only worker.
        await disk.FlushAsync().AsTask().WaitAsync(s_patience);
        Assert.True(memory.AsSpan().IndexOfAnyExcept((byte)0) < 0);
    }

    [Fact]
    public async Task A_token_that_is_cancelled_already_submits_nothing()
    {
        using var port = new GatedPortDriver(DiskBytes);
        using var served = new ServedSocket(port);
        await using var disk = await BlockDisk.ConnectAsync(served.Path);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await disk.FlushAsync(new CancellationToken(canceled: true)));
        Assert.Equal(0, port.Operations);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_code_after_an_await_runs_on_a_thread_of_the_pool_or_if_allowed_on_the_virtqueues(bool allowed)
    {
        using var port = new GatedPortDriver(DiskBytes);
        using var served = new ServedSocket(port);
        await using var disk = await BlockDisk.ConnectAsync(served.Path, new BlockDiskOptions { AllowSynchronousContinuations = allowed });
        var flush = FlushAsync();
        port.AwaitOperation();
        port.Open();
        Assert.Equal(!allowed, await flush.WaitAsync(s_patience));

        async Task<bool> FlushAsync()
        {
            await disk.FlushAsync().ConfigureAwait(false);
            return Thread.CurrentThread.IsThreadPoolThread;
        }
    }

    [Fact]
    public async Task A_task_that_is_awaited_twice_throws_and_says_what_to_do()
    {
        using var served = new ServedSocket(new MemoryPortDriver(DiskBytes));
        await using var disk = await BlockDisk.ConnectAsync(served.Path);
#pragma warning disable CA2012 // the misuse is what is tested
        var read = disk.ReadAsync(new byte[512], 0);
        await read;
        var error = await Assert.ThrowsAsync<InvalidOperationException>(async () => await read);
#pragma warning restore CA2012
        Assert.Contains("await a ValueTask once", error.Message, StringComparison.Ordinal);
        await disk.ReadAsync(new byte[512], 0);
    }

    [Fact]
    public async Task Requests_of_many_callers_over_two_queues_each_get_their_data()
    {
        using var served = new ServedSocket(new MemoryPortDriver(DiskBytes));
        await using var disk = await BlockDisk.ConnectAsync(served.Path, new BlockDiskOptions { Queues = 2 });
        await Task.WhenAll(Enumerable.Range(0, 8).Select(caller => Task.Run(() => UseAsync(caller)))).WaitAsync(s_patience);

        async Task UseAsync(int caller)
        {
            for (var i = 0; i < 300; i++)
            {
                using var buffer = disk.Rent(4096);
                var offset = (caller * 16 + i % 16) * 4096L;
                buffer.Span.Fill((byte)(caller * 31 + i));
                await disk.WriteAsync(buffer.Memory, offset);
                buffer.Span.Clear();
                await disk.ReadAsync(buffer.Memory, offset);
                Assert.True(buffer.Span.IndexOfAnyExcept((byte)(caller * 31 + i)) < 0);
            }
        }
    }

    private static ulong AddressOf(BlockBuffer buffer)
    {
        Assert.True(MemoryMarshal.TryGetMemoryManager<byte, PooledBuffer>(buffer.Memory, out var pooled));
        return pooled.Address;
    }
}
