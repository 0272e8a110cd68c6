using System.Runtime.InteropServices;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Requests;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Notification;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;
using VmShunt.Tests.Doubles;
using VmShunt.Tests.Ring.Virtqueue;

namespace VmShunt.Tests.Guest.Block.Virtio;

/// <summary>The thread of a queue that never spins, with a device that the test plays.</summary>
public abstract class QueueThreadTests<TKind, TDriver, TDevice> : IDisposable
    where TKind : IRingKind<TDriver, TDevice>
    where TDriver : struct, IDriverQueue
    where TDevice : struct, IDeviceQueue
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private readonly QueuePair<TKind, TDriver, TDevice> _pair = new(new QueueOptions(16, Indirect: true, EventIndex: true), 1 << 16);
    private readonly EventFd _kick = EventFd.Create(), _call = EventFd.Create();
    private readonly UnixConnection _mine, _its;
    private readonly QueueHooks _hooks = new();
    private readonly QueueThread<HookedQueue<TDriver>> _queue;
    private readonly DiskClassDriver _disk;
    private readonly RecordingDriver _fallback = new(completesAtOnce: true);
    private Action _whenLost = static () => { };

    protected QueueThreadTests()
    {
        (_mine, _its) = UnixConnection.CreatePair();
        var capacity = _pair.Driver.Capacity;
        var crash = new CrashGate();
        var slots = new RingSlots(capacity, new GuestBuffer(_pair.Ram.Memory, _pair.Data, RingSlots.RequiredBytes(capacity)));
        var settings = new QueueThreadOptions(WaitPolicy.Never, crash, static () => { }, static () => { }, _ => _whenLost(), static _ => { });
        _queue = new QueueThread<HookedQueue<TDriver>>(0, new HookedQueue<TDriver>(_pair.Driver, _hooks), slots, _kick, _call, _mine.Handle, settings);
        _disk = new DiskClassDriver(new Submitting(_queue, _fallback), crash);
    }

    public void Dispose()
    {
        // The requests of a failed test never complete.
        _queue.Abandon();
        _queue.Dispose();
        _mine.Dispose();
        _its.Dispose();
        _pair.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task A_request_that_another_thread_submits_just_before_the_thread_blocks_is_noticed()
    {
        for (var round = 0; round < 50; round++)
        {
            AwaitBlock();
            var submitted = new TaskCompletionSource<Task>(TaskCreationOptions.RunContinuationsAsynchronously);
            // On the queue's thread, after it has looked into its inbox and before it says that it blocks.
            _hooks.OnNextPoll(() => OnAnotherThread(() => submitted.SetResult(_disk.FlushAsync().AsTask())));
            _call.Signal();
            var request = await submitted.Task.WaitAsync(s_patience);
            Assert.True(await Task.Run(TryTake), $"round {round}: the request stays in the inbox");
            Return();
            await CompleteAsync(request);
        }
    }

    [Fact]
    public async Task A_spurious_interrupt_does_nothing()
    {
        for (var round = 0; round < 20; round++)
        {
            AwaitBlock();
            _call.Signal();
            AwaitBlock();
            var request = _disk.FlushAsync().AsTask();
            Assert.True(await Task.Run(TryTake), $"round {round}: no request");
            // With the request in flight, and before its completion.
            AwaitBlock();
            _call.Signal();
            AwaitBlock();
            Assert.False(request.IsCompleted);
            Return();
            await CompleteAsync(request);
        }
        Assert.Equal(new BlockCounters(20, 20, 0, 0, 20, 0), _disk.Counters);
    }

    [Fact]
    public async Task Of_the_requests_of_a_lost_device_those_that_it_completed_are_not_submitted_to_the_fallback()
    {
        _whenLost = Return;
        var completed = _disk.FlushAsync().AsTask();
        Assert.True(await Task.Run(TryTake), "no request");
        var open = _disk.DiscardAsync(0, 512).AsTask();
        _its.Dispose();
        await CompleteAsync(Task.WhenAll(completed, open));
        Assert.Equal([BlockOperation.Discard], _fallback.Operations);
        Assert.Equal((2L, 0L), (_disk.Counters.Completed, _disk.Counters.Repeated));
    }

    // A completion's continuation runs on the queue's thread, which the test must leave.
    private static async Task CompleteAsync(Task request)
    {
        await request.WaitAsync(s_patience).ConfigureAwait(false);
        await Task.Yield();
    }

    // The thread of a queue that never spins arms before it blocks.
    private void AwaitBlock()
    {
        while (_hooks.Armed.Wait(0))
        {
        }
        _call.Signal();
        Assert.True(_hooks.Armed.Wait(s_patience), "the queue's thread does not block");
    }

    private bool TryTake()
    {
        var take = PopResult.Empty;
        return SpinWait.SpinUntil(() => (take = _pair.Device.TryPop(_pair.Chain)) != PopResult.Empty, s_patience) && take == PopResult.Popped;
    }

    private void Return()
    {
        var chain = _pair.Chain;
        var type = MemoryMarshal.Read<VirtioBlkRequestHeader>(_pair.Ram.Span(chain.Readable[0].Address, VirtioBlkRequestHeader.Bytes)).Type;
        Assert.Equal(VirtioBlkRequestType.Flush, type);
        _pair.Ram.Span(chain.Writable[^1].Address, 1)[0] = (byte)VirtioBlkStatus.Ok;
        _pair.Device.Return(chain.Handle, 1);
        _pair.Device.Publish();
        _call.Signal();
    }

    private static void OnAnotherThread(Action action)
    {
        var thread = new Thread(() => action());
        thread.Start();
        thread.Join();
    }

    private sealed class Submitting(QueueThread queue, IBlockDriver fallback) : IBlockDriver
    {
        public DiskGeometry Geometry { get; } = new(64, 1 << 20, "TEST", IsReadOnly: false);

        public void Submit(BlockRequest request)
        {
            request.Fallback = fallback;
            queue.Submit(request);
        }
    }
}

public sealed class SplitQueueThreadTests : QueueThreadTests<SplitRing, SplitDriverQueue, SplitDeviceQueue>;

public sealed class PackedQueueThreadTests : QueueThreadTests<PackedRing, PackedDriverQueue, PackedDeviceQueue>;
