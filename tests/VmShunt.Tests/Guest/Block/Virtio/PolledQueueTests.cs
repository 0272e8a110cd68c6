using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;
using VmShunt.Ring.Notification;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;
using VmShunt.Tests.Ring.Virtqueue;

namespace VmShunt.Tests.Guest.Block.Virtio;

/// <summary>Polled calls on a queue without a thread, with a device that answers, exits, corrupts the ring or hangs.</summary>
public abstract class PolledQueueTests<TKind, TDriver, TDevice>
    where TKind : IRingKind<TDriver, TDevice>
    where TDriver : struct, IDriverQueue
    where TDevice : struct, IDeviceQueue
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private readonly CrashGate _crash = new();

    [Theory]
    [InlineData(WaitPolicy.Adaptive, WaitPolicy.Adaptive, 1, true)]
    [InlineData(WaitPolicy.Adaptive, WaitPolicy.Never, 1, false)]
    [InlineData(WaitPolicy.Never, WaitPolicy.Never, 1, true)]
    [InlineData(WaitPolicy.Never, WaitPolicy.Busy, 3, false)]
    [InlineData(WaitPolicy.Busy, WaitPolicy.Never, 1, true)]
    [InlineData(WaitPolicy.Adaptive, WaitPolicy.Adaptive, 4, true)]
    public void Each_thread_reads_its_last_write_and_no_two_threads_use_the_queue_at_once(WaitPolicy wait, WaitPolicy deviceWait, int threads, bool eventIndex)
    {
        const int calls = 3_000;
        var seed = Environment.TickCount;
        using var ring = new DeviceOfPolledQueue<TKind, TDriver, TDevice>(wait, _crash, eventIndex: eventIndex);
        var disk = new DiskClassDriver(ring, _crash);
        ring.Start(deviceWait, seed);
        var flushes = 0;
        var faults = new string?[threads];
        var callers = Enumerable.Range(0, threads).Select(i => new Thread(() => Interlocked.Add(ref flushes, Call(ring, disk, i, threads, seed, calls, out faults[i])))).ToArray();
        foreach (var caller in callers) caller.Start();
        foreach (var caller in callers) caller.Join();

        Assert.All(faults, Assert.Null);
        var all = threads * calls;
        Assert.Equal(new BlockCounters(all, all, 0, 0, all, 0), disk.Counters);
        var counters = ring.Queue.Counters;
        Assert.Equal((all, flushes), (counters.Requests, ring.Flushes));
        // A caller that never spins is called, and a device that never spins is kicked.
        if (wait == WaitPolicy.Never) Assert.InRange(counters.Calls, 1, all);
        if (deviceWait == WaitPolicy.Never) Assert.InRange(counters.Kicks, 1, all);
        if (wait == WaitPolicy.Busy) Assert.Equal(0, counters.Calls);
        if (deviceWait == WaitPolicy.Busy) Assert.Equal(0, counters.Kicks);
    }

    [Fact]
    public void A_call_allocates_nothing()
    {
        using var ring = new DeviceOfPolledQueue<TKind, TDriver, TDevice>(WaitPolicy.Adaptive, _crash);
        var disk = new DiskClassDriver(ring, _crash);
        ring.Start(WaitPolicy.Adaptive, 1);
        var buffer = ring.Buffer(0, 4096);
        Assert.Equal(0, Allocation.OfHundred(() =>
        {
            disk.Write(8, buffer);
            disk.Read(8, buffer);
            disk.Flush();
        }));
    }

    [Fact]
    public void A_polled_call_writes_the_same_trace_as_a_request()
    {
        using var ring = new DeviceOfPolledQueue<TKind, TDriver, TDevice>(WaitPolicy.Adaptive, _crash);
        var disk = new DiskClassDriver(ring, _crash);
        ring.Start(WaitPolicy.Adaptive, 1);
        var trace = new RequestTrace();
        trace.TraceNextRequest();
        disk.Read(0, ring.Buffer(0, 512));
        Assert.Equal([Hop.Entered, Hop.Described, Hop.Issued, Hop.Noticed, Hop.Completed], trace.Hops.ToArray().Select(static hop => hop.Hop));
        Assert.Equal((RequestPath.Ring, BlockStatus.Ok), (trace.RequestPath, trace.Status));
    }

    [Theory]
    [InlineData(VirtioBlkStatus.IoError, BlockStatus.IoError)]
    [InlineData(VirtioBlkStatus.Unsupported, BlockStatus.Unsupported)]
    public async Task A_status_other_than_OK_is_thrown(VirtioBlkStatus status, BlockStatus thrown)
    {
        using var ring = new DeviceOfPolledQueue<TKind, TDriver, TDevice>(WaitPolicy.Adaptive, _crash);
        var disk = new DiskClassDriver(ring, _crash);
        var call = Start(() => disk.Read(0, ring.Buffer(0, 512)));
        ring.Take();
        ring.Return(status);
        Assert.Equal(thrown, (await Assert.ThrowsAsync<BlockIoException>(() => call.WaitAsync(s_patience))).Status);
    }

    [Theory]
    [InlineData(WaitPolicy.Adaptive)]
    [InlineData(WaitPolicy.Never)]
    [InlineData(WaitPolicy.Busy)]
    public async Task A_request_whose_device_exits_takes_its_fallback_after_the_loss_is_reported(WaitPolicy wait)
    {
        var fallback = new RecordingDriver(completesAtOnce: true);
        var before = new List<int>();
        using var ring = new DeviceOfPolledQueue<TKind, TDriver, TDevice>(wait, _crash, _ => before.Add(fallback.Operations.Count)) { Fallback = fallback };
        var disk = new DiskClassDriver(ring, _crash);
        var call = Start(() => disk.Read(0, ring.Buffer(0, 512)));
        ring.Take();
        ring.HangUp();
        await call.WaitAsync(s_patience);
        Assert.Equal([0], before);
        Assert.Equal([BlockOperation.Read], fallback.Operations);

        // The queue is closed now.
        ring.IsClosed = true;
        disk.Flush();
        Assert.Equal([BlockOperation.Flush], ring.Closed.Operations);
        Assert.Equal(new BlockCounters(2, 2, 0, 1, 1, 0), disk.Counters);
    }

    [Fact]
    public async Task A_request_that_an_exiting_device_completed_is_not_lost()
    {
        var fallback = new RecordingDriver(completesAtOnce: true);
        DeviceOfPolledQueue<TKind, TDriver, TDevice>? ring = null;
        ring = new DeviceOfPolledQueue<TKind, TDriver, TDevice>(WaitPolicy.Never, _crash, _ => ring!.Return()) { Fallback = fallback };
        using var held = ring;
        var disk = new DiskClassDriver(ring, _crash);
        var call = Start(() => disk.Read(0, ring.Buffer(0, 512)));
        ring.Take();
        ring.HangUp();
        await call.WaitAsync(s_patience);
        Assert.Empty(fallback.Operations);
        Assert.Equal(new BlockCounters(1, 1, 0, 0, 1, 0), disk.Counters);
        Assert.False(ring.Queue.TryRun(new SilentRequest()));
    }

    [Theory]
    [InlineData(WaitPolicy.Adaptive)]
    [InlineData(WaitPolicy.Never)]
    public async Task A_rejected_request_can_run_on_another_queue_at_once(WaitPolicy wait)
    {
        using var next = new DeviceOfPolledQueue<TKind, TDriver, TDevice>(wait, _crash);
        using var ring = new DeviceOfPolledQueue<TKind, TDriver, TDevice>(wait, _crash, static _ => { }) { Fallback = next };
        var disk = new DiskClassDriver(ring, _crash);
        var call = Start(() => disk.Read(0, ring.Buffer(0, 512)));
        ring.Take();
        ring.HangUp();
        next.Take();
        // The old queue drains while the new one has the request.
        ring.Queue.Drain();
        next.Return();
        await call.WaitAsync(s_patience);
        Assert.Equal(new BlockCounters(1, 1, 0, 0, 1, 0), disk.Counters);
    }

    [Fact]
    public async Task A_device_that_corrupts_the_ring_has_its_request_rejected()
    {
        var fallback = new RecordingDriver(completesAtOnce: true);
        var lost = "";
        using var ring = new DeviceOfPolledQueue<TKind, TDriver, TDevice>(WaitPolicy.Busy, _crash, why => lost = why) { Fallback = fallback };
        var disk = new DiskClassDriver(ring, _crash);
        var call = Start(disk.Flush);
        ring.Take();
        ring.Scribble();
        await call.WaitAsync(s_patience);
        Assert.NotEmpty(lost);
        Assert.Equal([BlockOperation.Flush], fallback.Operations);
    }

    [Theory]
    [InlineData(WaitPolicy.Adaptive)]
    [InlineData(WaitPolicy.Never)]
    public async Task Draining_waits_for_the_caller_inside_and_admits_no_other(WaitPolicy wait)
    {
        using var ring = new DeviceOfPolledQueue<TKind, TDriver, TDevice>(wait, _crash);
        var disk = new DiskClassDriver(ring, _crash);
        var call = Start(() => disk.Read(0, ring.Buffer(0, 512)));
        ring.Take();
        var drain = Start(ring.Queue.Drain);
        Assert.NotSame(drain, await Task.WhenAny(drain, Task.Delay(20)));
        Assert.False(call.IsCompleted);
        ring.Return();
        await Task.WhenAll(call, drain).WaitAsync(s_patience);
        Assert.False(ring.Queue.TryRun(new SilentRequest()));
        Assert.Equal(1, disk.Counters.Ringed);
    }

    [Theory]
    [InlineData(WaitPolicy.Adaptive)]
    [InlineData(WaitPolicy.Never)]
    [InlineData(WaitPolicy.Busy)]
    public async Task The_request_of_an_abandoned_device_takes_its_fallback(WaitPolicy wait)
    {
        var fallback = new RecordingDriver(completesAtOnce: true);
        using var ring = new DeviceOfPolledQueue<TKind, TDriver, TDevice>(wait, _crash, static _ => { }) { Fallback = fallback };
        var disk = new DiskClassDriver(ring, _crash);
        var call = Start(() => disk.Read(0, ring.Buffer(0, 512)));
        ring.Take();
        ring.Queue.Abandon();
        await call.WaitAsync(s_patience);
        Assert.Equal([BlockOperation.Read], fallback.Operations);
        Assert.Equal(0, ring.Queue.Counters.Calls);
    }

    [Theory]
    [InlineData(WaitPolicy.Busy)]
    [InlineData(WaitPolicy.Never)]
    public void A_crash_parks_a_caller_that_polls(WaitPolicy wait)
    {
        // Not disposed: the parked caller never releases the queue.
        var ring = new DeviceOfPolledQueue<TKind, TDriver, TDevice>(wait, _crash);
        var disk = new DiskClassDriver(ring, _crash);
        new Thread(() =>
        {
            _crash.Enter();
            disk.Read(0, ring.Buffer(0, 512));
        })
        { IsBackground = true }.Start();
        ring.Take();
        Assert.True(_crash.TryRaise());
        _crash.WaitForParked(60_000);
        // A caller that was blocked when the machine crashed parks when it wakes.
        if (wait == WaitPolicy.Never) ring.HangUp();
        Assert.True(SpinWait.SpinUntil(() => _crash.Parked == 1, s_patience));
        Assert.Equal(0, disk.Counters.Completed);
    }

    private static Task Start(Action call) => Task.Factory.StartNew(call, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private static int Call(DeviceOfPolledQueue<TKind, TDriver, TDevice> ring, DiskClassDriver disk, int thread, int threads, int seed, int calls, out string? fault)
    {
        const int most = 4, sectorBytes = DiskClassDriver.SectorBytes;
        var random = new Random(seed + thread);
        var own = DeviceOfPolledQueue<TKind, TDriver, TDevice>.Sectors / threads;
        var model = new byte[own * sectorBytes];
        var flushes = 0;
        fault = null;
        for (var i = 0; i < calls; i++)
        {
            var sectors = random.Next(1, most + 1);
            var at = random.Next(own - sectors + 1);
            var buffer = ring.Buffer(thread, sectors * sectorBytes);
            var here = model.AsSpan(at * sectorBytes, buffer.Length);
            var sector = (ulong)(thread * own + at);
            switch (random.Next(5))
            {
                case 0 or 1:
                    random.NextBytes(here);
                    here.CopyTo(buffer.Span);
                    disk.Write(sector, buffer);
                    break;
                case 2 or 3:
                    buffer.Span.Fill(0xEE);
                    disk.Read(sector, buffer);
                    if (!buffer.Span.SequenceEqual(here)) fault ??= $"seed {seed}, thread {thread}: call {i} read something else at sector {sector}";
                    break;
                default:
                    disk.Flush();
                    flushes++;
                    break;
            }
        }
        return flushes;
    }
}

public sealed class SplitPolledQueueTests : PolledQueueTests<SplitRing, SplitDriverQueue, SplitDeviceQueue>;

public sealed class PackedPolledQueueTests : PolledQueueTests<PackedRing, PackedDriverQueue, PackedDeviceQueue>;
