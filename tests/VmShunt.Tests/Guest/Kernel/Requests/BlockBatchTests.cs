using VmShunt.BlockBackend.Disk;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Requests;
using VmShunt.Ring.Notification;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Guest.Kernel.Requests;

public class BlockBatchTests
{
    private readonly RecordingDriver _lower = new();
    private readonly DiskClassDriver _disk;

    public BlockBatchTests() => _disk = new DiskClassDriver(_lower, new CrashGate());

    [Fact]
    public async Task A_batch_completes_with_its_last_request_and_has_the_status_of_each()
    {
        var batch = new BlockBatch(_disk, 3);
        for (var i = 0; i < 3; i++) batch.Read((ulong)i, Buffers.Of(512));
        for (var round = 0; round < 3; round++)
        {
            _lower.Requests.Clear();
            var all = batch.SubmitAsync();
            Assert.Equal([0UL, 1, 2], _lower.Requests.Select(r => r.Sector));
            Assert.Throws<InvalidOperationException>(batch.Clear);
            await Assert.ThrowsAsync<InvalidOperationException>(async () => await batch.SubmitAsync());
            _lower.Requests[2].Complete(BlockStatus.Ok);
            _lower.Requests[0].Complete(round == 1 ? BlockStatus.IoError : BlockStatus.Ok);
            Assert.False(all.IsCompleted);
            _lower.Requests[1].Complete(BlockStatus.Ok);
            await all;
            Assert.Equal(round == 1 ? BlockStatus.IoError : BlockStatus.Ok, batch[0]);
            Assert.Equal(round != 1, batch.AllSucceeded);
        }
        batch.Clear();
        await batch.SubmitAsync();
        Assert.Equal((9, 0), (_disk.Counters.Completed, _disk.Counters.InFlight));
    }

    [Fact]
    public void An_invalid_request_is_rejected_when_it_is_added_to_a_batch()
    {
        var batch = new BlockBatch(_disk, 1);
        Assert.Throws<ArgumentOutOfRangeException>(() => batch.Read(1024, Buffers.Of(512)));
        Assert.Throws<ArgumentOutOfRangeException>(() => batch.Write(0, Buffers.Of(100)));
        Assert.Equal(0, batch.Count);
        batch.Write(0, Buffers.Of(512));
        Assert.Throws<InvalidOperationException>(() => batch.Write(0, Buffers.Of(512)));
        Assert.Throws<IndexOutOfRangeException>(() => batch[1]);
    }

    [Fact]
    public async Task A_removed_stack_rejects_a_batch_as_a_whole_and_it_can_be_submitted_again()
    {
        var batch = new BlockBatch(_disk, 2);
        batch.Read(0, Buffers.Of(512));
        batch.Read(1, Buffers.Of(512));
        _disk.Close();
        for (var i = 0; i < 2; i++) await Assert.ThrowsAsync<StackRemovedException>(async () => await batch.SubmitAsync());
        Assert.Empty(_lower.Requests);
        Assert.Equal(0, _disk.Counters.InFlight);
    }

    [Fact]
    public async Task Cancelling_a_batch_cancels_the_requests_that_no_device_has()
    {
        using var cancel = new CancellationTokenSource();
        var batch = new BlockBatch(_disk, 3);
        for (var i = 0; i < 3; i++) batch.Write((ulong)i, Buffers.Of(512));
        var all = batch.SubmitAsync(cancel.Token);
        Assert.True(_lower.Requests[1].TryTake());
        cancel.Cancel();
        Assert.False(all.IsCompleted);
        _lower.Requests[1].Complete(BlockStatus.Ok);
        await all;
        Assert.Equal([BlockStatus.Cancelled, BlockStatus.Ok, BlockStatus.Cancelled], [batch[0], batch[1], batch[2]]);
        await batch.SubmitAsync(cancel.Token);
        Assert.Equal(BlockStatus.Cancelled, batch[1]);
        Assert.Equal(3, _disk.Counters.Submitted);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(32)]
    [InlineData(128)]
    [InlineData(300)]
    public async Task A_batch_from_another_thread_costs_at_most_one_kick_if_it_fits_the_ring(int requests)
    {
        using var port = new MemoryPortDriver(1 << 20);
        await using var ring = new RingDisk(port, wait: WaitPolicy.Never);
        var memory = ring.Pages.Allocate(requests * 512);
        var batch = new BlockBatch(ring.Disk, requests);
        for (var i = 0; i < requests; i++) batch.Write((ulong)i, memory.Slice(i * 512, 512));
        var rounds = (requests + 127) / 128;
        for (var round = 0; round < 50; round++)
        {
            var before = QueueCounters.Sum(ring.Counters);
            await Task.Run(() => batch.SubmitAsync().AsTask()).WaitAsync(TimeSpan.FromSeconds(60));
            Assert.True(batch.AllSucceeded);
            var after = QueueCounters.Sum(ring.Counters);
            Assert.Equal(requests, after.Requests - before.Requests);
            if (rounds == 1) Assert.InRange(after.Kicks - before.Kicks, 0, 1);
        }
    }
}
