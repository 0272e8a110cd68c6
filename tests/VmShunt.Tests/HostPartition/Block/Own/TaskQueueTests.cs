using VmShunt.BlockBackend;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.HostPartition.Block.Own;

/// <summary>A disk whose requests complete later, behind a real ring.</summary>
public sealed class TaskQueueTests
{
    private const int Sector = 512;
    private const VirtioBlkFeatures OutOfOrder = BlkSession.Everything & ~VirtioBlkFeatures.InOrder;

    private readonly LogLines _log = new();

    [Fact]
    public void Requests_run_concurrently_and_complete_in_any_order()
    {
        var disk = new LateDisk();
        using var server = Server(disk);
        using var session = new BlkSession(server.Disk, OutOfOrder).Start();
        session.Submit(0, VirtioBlkRequestType.In, 1, Sector);
        session.Submit(1, VirtioBlkRequestType.In, 2, Sector);
        session.Submit(2, VirtioBlkRequestType.Out, 3, Sector);
        disk.WaitFor(3);
        disk.Complete(2 * Sector, fill: 22);
        Assert.Equal(((ushort)1, VirtioBlkStatus.Ok, Sector + 1u), session.Complete());
        Assert.Equal(-1, session.Ram(BlkSession.Data + 0x1_0000, Sector).IndexOfAnyExcept((byte)22));
        disk.Fail(3 * Sector, new TimeoutException("no answer"));
        Assert.Equal(((ushort)2, VirtioBlkStatus.IoError), (session.Complete() is var failed ? (failed.Token, failed.Status) : default));
        disk.Complete(1 * Sector, fill: 11);
        Assert.Equal(((ushort)0, VirtioBlkStatus.Ok, Sector + 1u), session.Complete());
        Assert.Equal(["disk LateDisk: WriteAsync of 512 bytes at offset 1536 threw TimeoutException: no answer"], _log.All);
    }

    [Fact]
    public void With_in_order_rings_and_for_other_requests_the_ring_waits_for_the_task()
    {
        var disk = new LateDisk { IsImmediate = true };
        using var server = Server(disk);
        using var session = new BlkSession(server.Disk).Start();
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.In, 1, Sector));
        Assert.Equal(VirtioBlkStatus.Ok, session.Do(VirtioBlkRequestType.Flush));
        Assert.Equal(VirtioBlkStatus.Ok, session.Range(VirtioBlkRequestType.WriteZeroes, new VirtioBlkRange { Sector = 9, SectorCount = 300 }));
        Assert.Equal(1, disk.Flushes);
    }

    [Fact]
    public void With_IN_ORDER_requests_complete_in_their_order_on_a_disk_that_completes_the_newest_first()
    {
        using var server = Server(new NewestFirstDisk());
        using var session = new BlkSession(server.Disk).Start();
        for (ushort token = 0; token < 4; token++) session.Submit(token, VirtioBlkRequestType.In, token, Sector);
        for (ushort token = 0; token < 4; token++) Assert.Equal(token, session.Complete().Token);
    }

    [Fact]
    public void Memory_that_is_used_after_its_request_throws_where_misuse_is_detected()
    {
        var disk = new LateDisk();
        using var server = Server(disk, new BlockServerOptions { DetectMisuse = true, Log = _log });
        using var session = new BlkSession(server.Disk, OutOfOrder).Start();
        session.Submit(0, VirtioBlkRequestType.In, 1, Sector);
        disk.WaitFor(1);
        var memory = disk.MemoryOf(1 * Sector);
        memory.Span.Fill(1);
        disk.Complete(1 * Sector, fill: 2);
        session.Complete();
        Assert.Contains("after its request completed", Assert.Throws<ObjectDisposedException>(() => memory.Span.Fill(3)).Message, StringComparison.Ordinal);
        Assert.Throws<ObjectDisposedException>(() => memory.Pin().Dispose());
        Assert.Equal(-1, session.Ram(BlkSession.Data, Sector).IndexOfAnyExcept((byte)2));
    }

    [Fact]
    public void The_end_of_a_session_cancels_requests_and_waits_for_those_that_complete_in_time()
    {
        var disk = new LateDisk();
        using var server = Server(disk);
        var session = new BlkSession(server.Disk, OutOfOrder).Start();
        session.Submit(0, VirtioBlkRequestType.In, 1, Sector);
        disk.WaitFor(1);
        Assert.False(disk.Cancellation.IsCancellationRequested);
        var memory = disk.MemoryOf(1 * Sector);
        disk.Cancellation.Register(() => disk.Complete(1 * Sector, fill: 5));
        session.Dispose();
        Assert.True(disk.Cancellation.IsCancellationRequested);
        // The session is closed: its memory is neither readable nor another guest's.
        Assert.Throws<ObjectDisposedException>(() => memory.Span.Fill(3));
    }

    [Fact]
    public void A_request_that_never_completes_is_failed_after_the_drain_timeout_and_its_memory_stays_mapped()
    {
        var disk = new LateDisk();
        using var server = Server(disk, new BlockServerOptions { DrainTimeout = TimeSpan.FromMilliseconds(50), Log = _log });
        var session = new BlkSession(server.Disk, OutOfOrder).Start();
        session.Submit(0, VirtioBlkRequestType.In, 1, Sector);
        disk.WaitFor(1);
        using ManualResetEventSlim holds = new(), goes = new();
        var late = new Thread(() =>
        {
            var span = disk.MemoryOf(1 * Sector).Span;
            holds.Set();
            goes.Wait();
            // Would end the process if the pages were not there.
            span.Fill(1);
        });
        late.Start();
        holds.Wait();
        session.Dispose();
        Assert.Equal(["disk LateDisk: ReadAsync of 512 bytes at offset 512 did not complete within 0.1 s after its cancellation"], _log.All);
        goes.Set();
        late.Join();
        disk.Complete(1 * Sector, fill: null);
    }

    private BlockServer Server(AsyncBlockDevice disk, BlockServerOptions? options = null) => new(disk, options ?? new BlockServerOptions { Log = _log });

    /// <summary>Holds a read back until a newer one has completed, or for a while if there is none.</summary>
    private sealed class NewestFirstDisk : AsyncBlockDevice
    {
        private TaskCompletionSource? _held;

        public override long Length => 1 << 20;

        public override async ValueTask ReadAsync(Memory<byte> destination, long offset, CancellationToken cancellationToken)
        {
            var mine = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            if (Interlocked.Exchange(ref _held, mine) is { } older)
            {
                _ = Task.Delay(20, cancellationToken).ContinueWith(_ => older.TrySetResult(), cancellationToken, TaskContinuationOptions.None, TaskScheduler.Default);
                return;
            }
            await Task.WhenAny(mine.Task, Task.Delay(100, cancellationToken));
            Interlocked.CompareExchange(ref _held, null, mine);
        }

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> source, long offset, CancellationToken cancellationToken) => ValueTask.CompletedTask;

        public override ValueTask FlushAsync(CancellationToken cancellationToken) => ValueTask.CompletedTask;
    }

    /// <summary>A disk of 1 MiB whose requests complete when the test says so.</summary>
    private sealed class LateDisk : AsyncBlockDevice
    {
        private readonly Dictionary<long, (Memory<byte> Memory, TaskCompletionSource Done)> _requests = [];

        internal bool IsImmediate { get; set; }

        internal int Flushes { get; private set; }

        internal CancellationToken Cancellation { get; private set; }

        public override long Length => 1 << 20;

        public override ValueTask ReadAsync(Memory<byte> destination, long offset, CancellationToken cancellationToken) => Start(destination, offset, cancellationToken);

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> source, long offset, CancellationToken cancellationToken) => Start(default, offset, cancellationToken);

        public override ValueTask FlushAsync(CancellationToken cancellationToken)
        {
            Flushes++;
            return new ValueTask(Task.Delay(1, cancellationToken));
        }

        internal void WaitFor(int requests) => Assert.True(SpinWait.SpinUntil(() => Count == requests, 60_000));

        internal Memory<byte> MemoryOf(long offset)
        {
            lock (_requests) return _requests[offset].Memory;
        }

        internal void Complete(long offset, byte? fill)
        {
            var (memory, done) = Take(offset);
            if (fill is { } value) memory.Span.Fill(value);
            done.SetResult();
        }

        internal void Fail(long offset, Exception why) => Take(offset).Done.SetException(why);

        private int Count
        {
            get
            {
                lock (_requests) return _requests.Count;
            }
        }

        private (Memory<byte> Memory, TaskCompletionSource Done) Take(long offset)
        {
            lock (_requests) return _requests.Remove(offset, out var request) ? request : throw new InvalidOperationException($"no request at {offset}");
        }

        private ValueTask Start(Memory<byte> memory, long offset, CancellationToken cancellationToken)
        {
            Cancellation = cancellationToken;
            if (IsImmediate) return default;
            var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (_requests) _requests.Add(offset, (memory, done));
            return new ValueTask(done.Task);
        }
    }
}
