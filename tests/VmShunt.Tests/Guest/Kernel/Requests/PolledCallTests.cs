using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Requests;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Guest.Kernel.Requests;

/// <summary>Polled calls without a polled queue: the caller blocks until another thread completes its request.</summary>
public sealed class PolledCallTests : IDisposable
{
    private readonly CrashGate _crash = new();
    private readonly OtherThread _lower = new();

    public void Dispose() => _lower.Dispose();

    [Fact]
    public void A_call_returns_when_another_thread_has_completed_its_request()
    {
        var disk = new DiskClassDriver(_lower, _crash);
        var buffer = Buffers.Of(4096);
        for (var i = 0; i < 10_000; i++)
        {
            disk.Write(1, buffer);
            disk.Read(1, buffer);
            disk.Flush();
        }
        Assert.Equal(new BlockCounters(30_000, 30_000, 0, 30_000, 0, 0), disk.Counters);
    }

    [Fact]
    public void A_call_that_blocks_allocates_nothing()
    {
        var disk = new DiskClassDriver(_lower, _crash);
        var buffer = Buffers.Of(4096);
        Assert.Equal(0, Allocation.OfHundred(() => disk.Read(0, buffer)));
    }

    [Theory]
    [InlineData(BlockStatus.IoError)]
    [InlineData(BlockStatus.Unsupported)]
    public void A_call_throws_the_status_of_its_request_and_the_next_call_is_not_affected(BlockStatus status)
    {
        var disk = new DiskClassDriver(_lower, _crash);
        _lower.Status = status;
        Assert.Equal(status, Assert.Throws<BlockIoException>(() => disk.Read(7, Buffers.Of(512))).Status);
        Assert.Equal(status, Assert.Throws<BlockIoException>(disk.Flush).Status);
        _lower.Status = BlockStatus.Ok;
        disk.Write(7, Buffers.Of(512));
        Assert.Equal(2, disk.Counters.Failed);
    }

    [Fact]
    public void A_rejected_request_completes_on_its_fallback()
    {
        var above = new RecordingDriver { Rejects = true };
        var disk = new DiskClassDriver(new FallingBack(above, _lower), _crash);
        disk.Read(0, Buffers.Of(512));
        Assert.Equal([BlockOperation.Read], above.Operations);
        Assert.Equal(1, disk.Counters.Completed);
    }

    [Theory]
    [InlineData(1024, 512)]
    [InlineData(0, 100)]
    public void An_invalid_call_is_rejected_as_an_invalid_request_is(ulong sector, int bytes)
    {
        var disk = new DiskClassDriver(_lower, _crash);
        Assert.Throws<ArgumentOutOfRangeException>(() => disk.Read(sector, Buffers.Of(bytes)));
        Assert.Throws<ArgumentOutOfRangeException>(() => disk.Write(sector, Buffers.Of(bytes)));
        disk.Close();
        Assert.Throws<StackRemovedException>(disk.Flush);
        Assert.Equal(0, disk.Counters.Submitted);
    }

    [Fact]
    public void A_crash_does_not_wait_for_a_blocked_caller()
    {
        var kept = new RecordingDriver();
        var disk = new DiskClassDriver(kept, _crash);
        var caller = new Thread(() =>
        {
            _crash.Enter();
            disk.Flush();
            _crash.Enter();
            disk.Flush();
        })
        { IsBackground = true };
        caller.Start();
        Assert.True(SpinWait.SpinUntil(() => caller.ThreadState.HasFlag(ThreadState.WaitSleepJoin) && kept.Requests.Count == 1, TimeSpan.FromSeconds(60)));
        Assert.True(_crash.TryRaise());
        var waited = Environment.TickCount64;
        _crash.WaitForParked(60_000);
        Assert.InRange(Environment.TickCount64 - waited, 0, 59_999);
        // Once woken, the caller parks at its next step.
        kept.Requests[0].Complete(BlockStatus.Ok);
        Assert.True(SpinWait.SpinUntil(() => _crash.Parked == 1, TimeSpan.FromSeconds(60)));
        Assert.Single(kept.Operations);
    }

    private sealed class FallingBack(IBlockDriver first, IBlockDriver second) : IBlockDriver
    {
        public DiskGeometry Geometry => first.Geometry;

        public void Submit(BlockRequest request)
        {
            request.Fallback = second;
            first.Submit(request);
        }
    }

    /// <summary>The bottom of a stack that completes each request on its own thread, sometimes before Submit returns.</summary>
    private sealed class OtherThread : IBlockDriver, IDisposable
    {
        private readonly SharedFlag _stop = new();
        private readonly Thread _thread;
        private BlockRequest? _request;

        internal OtherThread()
        {
            _thread = new Thread(Run);
            _thread.Start();
        }

        public DiskGeometry Geometry { get; } = new(1024, 1 << 20, "TEST", IsReadOnly: false);

        internal BlockStatus Status { get; set; }

        public void Submit(BlockRequest request) => Interlocked.Exchange(ref _request, request);

        public void Dispose()
        {
            _stop.Raise();
            _thread.Join();
        }

        private void Run()
        {
            while (!_stop.IsRaised)
            {
                if (Interlocked.Exchange(ref _request, null) is { } request) request.Complete(Status);
                else Thread.Yield();
            }
        }
    }
}
