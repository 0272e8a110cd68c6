using VmShunt.BlockBackend.Disk;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Guest.Kernel.Requests;

public class CancellationTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private readonly RecordingDriver _lower = new();
    private readonly DiskClassDriver _disk;

    public CancellationTests() => _disk = new DiskClassDriver(_lower, new CrashGate());

    [Fact]
    public async Task A_pending_request_is_cancelled_at_once_and_no_driver_can_claim_it()
    {
        using var cancel = new CancellationTokenSource();
        var outcome = _disk.TryWriteAsync(0, Buffers.Of(512), cancel.Token);
        var thrown = _disk.FlushAsync(cancel.Token);
        cancel.Cancel();
        Assert.True(outcome.IsCompleted && thrown.IsCompleted);
        Assert.Equal(BlockStatus.Cancelled, await outcome);
        Assert.Equal(cancel.Token, (await Assert.ThrowsAsync<OperationCanceledException>(async () => await thrown)).CancellationToken);
        Assert.All(_lower.Requests, request => Assert.False(request.TryTake()));
        Assert.Equal(new BlockCounters(2, 2, 0, 0, 0, 0, 2), _disk.Counters);
    }

    [Fact]
    public async Task A_token_that_is_cancelled_already_submits_no_request()
    {
        var cancelled = new CancellationToken(canceled: true);
        Assert.Equal(BlockStatus.Cancelled, await _disk.TryFlushAsync(cancelled));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await _disk.ReadAsync(0, Buffers.Of(512), cancelled));
        Assert.Empty(_lower.Requests);
        Assert.Equal(0, _disk.Counters.Submitted);
    }

    [Theory]
    [InlineData(BlockStatus.Ok)]
    [InlineData(BlockStatus.IoError)]
    public async Task A_request_that_a_device_has_had_completes_with_the_device_status(BlockStatus end)
    {
        using var cancel = new CancellationTokenSource();
        var outcome = _disk.TryReadAsync(0, Buffers.Of(512), cancel.Token);
        var request = Assert.Single(_lower.Requests);
        Assert.True(request.TryTake());
        cancel.Cancel();
        Assert.False(outcome.IsCompleted);
        // The device was lost, and another claims the request.
        Assert.True(request.TryTake());
        request.Complete(end);
        Assert.Equal(end, await outcome);
        Assert.Equal(0, _disk.Counters.Cancelled);
    }

    [Fact]
    public async Task A_cancelled_request_is_recycled_only_once_its_list_has_dropped_it()
    {
        using var cancel = new CancellationTokenSource();
        var outcome = _disk.TryFlushAsync(cancel.Token);
        cancel.Cancel();
        await outcome;
        var flush = _disk.TryFlushAsync();
        Assert.NotSame(_lower.Requests[0], _lower.Requests[1]);
        // A driver that completes a cancelled request releases it.
        _lower.Requests[0].Complete(BlockStatus.IoError);
        _lower.Requests[1].Complete(BlockStatus.Ok);
        Assert.Equal(BlockStatus.Ok, await flush);
        var again = _disk.TryFlushAsync();
        Assert.Contains(_lower.Requests[2], _lower.Requests.Take(2));
        _lower.Requests[2].Complete(BlockStatus.Ok);
        Assert.Equal(BlockStatus.Ok, await again);
        Assert.Equal((0, 1), (_disk.Counters.Repeated, _disk.Counters.Cancelled));
    }

    [Fact]
    public void A_list_that_is_not_drained_does_not_fill_with_cancelled_requests()
    {
        var list = new BlockRequestList();
        _ = _disk.TryFlushAsync().AsTask();
        list.Add(_lower.Requests[0]);
        for (var i = 1; i < 10_000; i++)
        {
            using var cancel = new CancellationTokenSource();
            _ = _disk.TryFlushAsync(cancel.Token).AsTask();
            list.Add(_lower.Requests[i]);
            cancel.Cancel();
        }
        Assert.Same(_lower.Requests[0], list.TakeFirst());
        var left = 0;
        while (list.TakeFirst() is not null) left++;
        Assert.InRange(left, 0, 100);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Cancelling_a_request_before_or_after_a_device_has_it_allocates_nothing(bool taken)
    {
        const int Warm = 100, All = 1000;
        var lower = new HoldingDriver();
        var disk = new DiskClassDriver(lower, new CrashGate());
        var buffer = Buffers.Of(512);
        // The first registration on a source allocates a node that later ones reuse.
        var sources = Enumerable.Range(0, All).Select(_ => new CancellationTokenSource()).ToArray();
        foreach (var source in sources) source.Token.UnsafeRegister(static _ => { }, null).Dispose();
        var before = 0L;
        for (var i = 0; i < All; i++)
        {
            if (i == Warm) before = GC.GetAllocatedBytesForCurrentThread();
            var outcome = disk.TryReadAsync(0, buffer, sources[i].Token);
            var request = lower.Held.TakeFirst()!;
            if (taken) request.TryTake();
            sources[i].Cancel();
            if (taken) request.Complete(BlockStatus.Ok);
            else request.TryTake();
            if (await outcome != (taken ? BlockStatus.Ok : BlockStatus.Cancelled)) throw new InvalidOperationException($"request {i}");
        }
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(taken ? 0 : All, disk.Counters.Cancelled);
        foreach (var source in sources) source.Dispose();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(32)]
    [InlineData(128)]
    public async Task A_cancellable_batch_allocates_nothing(int requests)
    {
        using var cancel = new CancellationTokenSource();
        var lower = new HoldingDriver();
        var batch = new BlockBatch(new DiskClassDriver(lower, new CrashGate()), requests);
        for (var i = 0; i < requests; i++) batch.Read(0, Buffers.Of(512));
        var before = 0L;
        for (var round = 0; round < 200; round++)
        {
            if (round == 50) before = GC.GetAllocatedBytesForCurrentThread();
            var all = batch.SubmitAsync(cancel.Token);
            while (lower.Held.TakeFirst() is { } request)
            {
                if (request.TryTake()) request.Complete(BlockStatus.Ok);
            }
            await all;
        }
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.True(batch.AllSucceeded);
    }

    [Theory]
    [InlineData(RingLayout.Split)]
    [InlineData(RingLayout.Packed)]
    public async Task Requests_in_the_backlog_are_cancelled_and_requests_in_the_ring_are_not(RingLayout layout)
    {
        using var port = new GatedPortDriver(1 << 20);
        await using var ring = new RingDisk(port, layout);
        using var cancel = new CancellationTokenSource();
        var buffers = ring.Pages.Allocate(400 * 512);
        var outcomes = Enumerable.Range(0, 400).Select(i => ring.Disk.TryReadAsync(0, buffers.Slice(i * 512, 512), cancel.Token).AsTask()).ToArray();
        port.AwaitOperation();
        cancel.Cancel();
        // The ring holds at most 128 requests, and the first of them is at the gate.
        var taken = outcomes.TakeWhile(outcome => !outcome.IsCompleted).Count();
        port.Open(1000);
        Assert.InRange(taken, 1, 128);
        Assert.All(await Task.WhenAll(outcomes[..taken]).WaitAsync(s_patience), status => Assert.Equal(BlockStatus.Ok, status));
        Assert.All(await Task.WhenAll(outcomes[taken..]).WaitAsync(s_patience), status => Assert.Equal(BlockStatus.Cancelled, status));
        Assert.Equal(BlockStatus.Ok, await ring.Disk.TryFlushAsync().AsTask().WaitAsync(s_patience));
        Assert.Equal(-1, buffers.Slice(0, taken * 512).Span.IndexOfAnyExcept((byte)0xAA));
        Assert.Equal(-1, buffers.Slice(taken * 512, (400 - taken) * 512).Span.IndexOfAnyExcept((byte)0));
        Assert.Equal(taken + 1, port.Operations);
    }

    [Fact]
    public async Task Requests_held_while_the_bus_is_lost_are_cancelled_at_once()
    {
        using var port = new MemoryPortDriver(1 << 20);
        await using var ring = new RingDisk(port);
        Assert.Equal(BlockStatus.Ok, await ring.Disk.TryFlushAsync());
        await Task.Yield();
        ring.GoAway();
        Assert.True(SpinWait.SpinUntil(() => ring.Losses == 1, s_patience));
        for (var round = 0; round < 3; round++)
        {
            using var cancel = new CancellationTokenSource();
            var outcomes = Enumerable.Range(0, 100).Select(_ => ring.Disk.TryWriteAsync(0, ring.Pages.Allocate(512), cancel.Token).AsTask()).ToArray();
            cancel.Cancel();
            Assert.All(outcomes, outcome => Assert.True(outcome.IsCompletedSuccessfully && outcome.Result == BlockStatus.Cancelled));
            Thread.Sleep(20);
        }
        var waiting = ring.Disk.TryFlushAsync().AsTask();
        ring.Return();
        Assert.Equal(BlockStatus.Ok, await waiting.WaitAsync(s_patience));
        Assert.Equal(0, ring.Disk.Counters.Repeated);
    }

    private sealed class HoldingDriver : IBlockDriver
    {
        internal BlockRequestList Held;

        public DiskGeometry Geometry { get; } = new(1024, 1 << 20, "TEST", IsReadOnly: false);

        public void Submit(BlockRequest request) => Held.Add(request);
    }
}
