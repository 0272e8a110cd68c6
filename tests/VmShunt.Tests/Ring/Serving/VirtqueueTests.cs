using System.Diagnostics;
using VmShunt.Ring.Serving;
using VmShunt.Tests.Doubles;
using DeviceQueue = VmShunt.Ring.Serving.Virtqueue;

namespace VmShunt.Tests.Ring.Serving;

/// <summary>What a device may do with its queue, and what it may not, step by step.</summary>
public sealed class VirtqueueTests : IDisposable
{
    private const ulong NoMemory = 0x1000;

    private readonly ScriptedDevice _device = new();
    private SteppedQueue _queue;

    public VirtqueueTests() => _queue = new SteppedQueue(_device);

    public void Dispose()
    {
        _queue.Dispose();
        _device.Dispose();
    }

    private void Use(string layout)
    {
        _queue.Dispose();
        _queue = new SteppedQueue(_device, layout == "packed");
    }

    private HandlerStep Step() => _queue.Handler.Step(defersLong: false);

    private void Submit(params ReadOnlySpan<ushort> tokens)
    {
        foreach (var token in tokens) _queue.Submit(token);
    }

    [Theory]
    [InlineData("split")]
    [InlineData("packed")]
    public void A_step_serves_the_available_chains_and_publishes_them(string layout)
    {
        Use(layout);
        Assert.Equal(HandlerStep.Empty, Step());
        Submit(1, 2, 3);
        Assert.Equal(HandlerStep.Worked, Step());
        Assert.Equal([(1, 2), (2, 2), (3, 2)], _queue.Completed().Select(static one => ((int)one.Token, (int)one.Written)));
        Assert.True(_queue.Call.TryDrain());
        Assert.Equal(HandlerStep.Empty, Step());
        Assert.False(_queue.Handler.Arm());
    }

    [Fact]
    public void A_turn_is_bounded_so_that_a_driver_cannot_keep_the_thread()
    {
        var turns = 0;
        _device.Serving = queue =>
        {
            turns++;
            ScriptedDevice.Echo(queue);
        };
        for (ushort token = 0; token < 21; token++) Submit(token);
        Step();
        Assert.Equal(16, _queue.Completed().Count);
        Step();
        Assert.Equal(5, _queue.Completed().Count);
        Assert.Equal((2, HandlerStep.Empty), (turns, Step()));
    }

    [Fact]
    public void A_slow_request_is_published_before_the_next_one_is_taken()
    {
        var early = 0;
        _device.Serving = queue =>
        {
            while (queue.TryTake(out var chain))
            {
                early += _queue.Completed().Count;
                var start = Stopwatch.GetTimestamp();
                while (Stopwatch.GetElapsedTime(start).TotalMicroseconds < 50)
                {
                }
                queue.Return(chain, 0);
            }
        };
        Submit(1, 2, 3);
        Step();
        Assert.Equal((2, 1), (early, _queue.Completed().Count));
    }

    [Fact]
    public void A_device_may_publish_by_itself()
    {
        var early = 0;
        _device.Serving = queue =>
        {
            Assert.True(queue.TryTake(out var chain));
            queue.Return(chain, 0);
            queue.Publish();
            queue.Publish();
            early = _queue.Completed().Count;
        };
        Submit(1);
        Step();
        Assert.Equal(1, early);
    }

    [Theory]
    [InlineData("split")]
    [InlineData("packed")]
    public void A_chain_outside_of_guest_memory_is_returned_with_nothing_written(string layout)
    {
        Use(layout);
        var taken = 0;
        _device.Serving = queue =>
        {
            while (queue.TryTake(out var chain))
            {
                taken++;
                queue.Return(chain, 0);
            }
        };
        _queue.Submit(1, NoMemory);
        Submit(2);
        _queue.Submit(3, ulong.MaxValue - 8);
        Step();
        Assert.Equal(3, _queue.Completed().Count);
        Assert.Equal(1, taken);
        // The second failure comes within the same second.
        Assert.Equal("queue 0: a chain has a buffer outside the guest's memory, and is returned with nothing written", Assert.Single(_queue.Reports));
    }

    [Theory]
    [InlineData("split")]
    [InlineData("packed")]
    public void An_exception_fails_the_requests_of_its_call_and_no_other(string layout)
    {
        Use(layout);
        var kept = default(VirtqueueChain);
        _device.Serving = queue => Assert.True(queue.TryTake(out kept));
        Submit(1);
        Step();
        _device.Serving = queue =>
        {
            Assert.True(queue.TryTake(out _));
            Assert.True(queue.TryTake(out _));
            throw new IOException("no entropy left");
        };
        Submit(2, 3, 4);
        Step();
        Assert.Equal([(2, 0), (3, 0)], _queue.Completed().Select(static one => ((int)one.Token, (int)one.Written)));
        Assert.Equal("queue 0: ScriptedDevice.Serve threw IOException: no entropy left", Assert.Single(_queue.Reports));
        _device.Serving = queue =>
        {
            queue.Return(kept, 0);
            ScriptedDevice.Echo(queue);
        };
        Step();
        Assert.Equal([(1, 0), (4, 2)], _queue.Completed().Select(static one => ((int)one.Token, (int)one.Written)));
    }

    [Fact]
    public void A_device_that_throws_before_it_takes_a_chain_fails_that_chain()
    {
        _device.Serving = static _ => throw new InvalidOperationException("broken");
        Submit(1, 2);
        Assert.Equal((HandlerStep.Worked, HandlerStep.Worked, HandlerStep.Empty), (Step(), Step(), Step()));
        Assert.Equal([(1, 0), (2, 0)], _queue.Completed().Select(static one => ((int)one.Token, (int)one.Written)));
    }

    [Theory]
    [InlineData("split")]
    [InlineData("packed")]
    public void A_chain_that_the_device_leaves_waits_for_its_wake_and_outlasts_a_stop(string layout)
    {
        Use(layout);
        var calls = 0;
        _device.Serving = _ => calls++;
        Submit(1, 2);
        Assert.Equal((HandlerStep.Worked, HandlerStep.Empty), (Step(), Step()));
        // What it left does not keep the thread from blocking.
        Assert.False(_queue.Handler.Arm());
        Assert.Equal(1, calls);
        _queue.Wake();
        Assert.True(_queue.Handler.Arm());
        Assert.Equal((HandlerStep.Worked, HandlerStep.Empty), (Step(), Step()));
        Assert.Equal(2, calls);

        _queue.Restart();
        Assert.Empty(_queue.Completed());
        _device.Serving = ScriptedDevice.Echo;
        Step();
        Assert.Equal([(1, 2), (2, 2)], _queue.Completed().Select(static one => ((int)one.Token, (int)one.Written)));
    }

    [Theory]
    [InlineData("split")]
    [InlineData("packed")]
    public void A_chain_may_be_kept_and_returned_in_any_order_and_a_stop_returns_it(string layout)
    {
        Use(layout);
        var kept = new List<VirtqueueChain>();
        _device.Serving = queue =>
        {
            while (queue.TryTake(out var chain)) kept.Add(chain);
        };
        Submit(1, 2, 3);
        Step();
        Assert.Empty(_queue.Completed());
        _device.Serving = queue =>
        {
            queue.Return(kept[2], kept[2].Writable.CopyFrom([3, 0]));
            queue.Return(kept[0], kept[0].Writable.CopyFrom([1, 0]));
        };
        _queue.Wake();
        Step();
        Assert.Equal([(3, 2), (1, 2)], _queue.Completed().Select(static one => ((int)one.Token, (int)one.Written)));
        _queue.Restart();
        Assert.Equal([(2, 0)], _queue.Completed().Select(static one => ((int)one.Token, (int)one.Written)));
        _device.Serving = queue =>
        {
            Assert.Throws<InvalidOperationException>(() => kept[1].Readable.Count);
            Assert.Throws<InvalidOperationException>(() => queue.Return(kept[1], 0));
        };
        _queue.Wake();
        Step();
        Assert.Empty(_queue.Reports);
    }

    [Fact]
    public void A_queue_of_which_every_chain_is_kept_gives_no_more_until_some_are_returned()
    {
        var kept = new Queue<VirtqueueChain>();
        _device.Serving = queue =>
        {
            while (queue.TryTake(out var chain)) kept.Enqueue(chain);
        };
        for (ushort token = 0; token < SteppedQueue.Size; token++) _queue.SubmitWritable(token);
        while (Step() == HandlerStep.Worked)
        {
        }
        Assert.Equal((SteppedQueue.Size, false), (kept.Count, _queue.Handler.Arm()));
        _device.Serving = queue =>
        {
            while (kept.TryDequeue(out var chain)) queue.Return(chain, 0);
        };
        _queue.Wake();
        Step();
        Assert.Equal(SteppedQueue.Size, _queue.Completed().Count);
    }

    [Theory]
    [InlineData("split")]
    [InlineData("packed")]
    public void The_chains_in_flight_of_a_previous_process_are_served_once_more_and_before_a_stop(string layout)
    {
        Use(layout);
        _device.Serving = static queue =>
        {
            while (queue.TryTake(out _))
            {
            }
        };
        Submit(1, 2, 3);
        Step();
        // The process is killed: nothing is drained.
        _queue.Replace();
        Submit(4);
        _device.Serving = ScriptedDevice.Echo;
        _queue.Handler.Stopping.Raise();
        Assert.True(_queue.Handler.HasPending);
        while (_queue.Handler.HasPending) Step();
        Assert.Equal([(1, 2), (2, 2), (3, 2)], _queue.Completed().Select(static one => ((int)one.Token, (int)one.Written)));
        _queue.Restart();
        Step();
        Assert.Equal([(4, 2)], _queue.Completed().Select(static one => ((int)one.Token, (int)one.Written)));
    }

    [Fact]
    public void Inherited_chains_that_the_device_leaves_do_not_delay_a_stop()
    {
        _device.Serving = static queue =>
        {
            while (queue.TryTake(out _))
            {
            }
        };
        Submit(1, 2, 3);
        Step();
        _queue.Replace();
        _device.Serving = static _ => { };
        _queue.Handler.Stopping.Raise();
        for (var steps = 0; _queue.Handler.HasPending; steps++)
        {
            Assert.InRange(steps, 0, 3);
            Step();
        }
        _queue.Restart();
        Assert.All(_queue.Completed(), static one => Assert.Equal(0u, one.Written));
    }

    [Fact]
    public void A_chain_is_returned_once_and_with_no_more_than_it_has_room_for()
    {
        _device.Serving = queue =>
        {
            Assert.True(queue.TryTake(out var chain));
            Assert.Equal((1, 2, 1, 4), (chain.Readable.Count, (int)chain.Readable.TotalBytes, chain.Writable.Count, (int)chain.Writable.TotalBytes));
            Assert.Throws<ArgumentOutOfRangeException>(() => queue.Return(chain, 5));
            Assert.Throws<ArgumentOutOfRangeException>(() => queue.Return(chain, -1));
            queue.Return(chain, 0);
            var again = Assert.Throws<InvalidOperationException>(() => queue.Return(chain, 0));
            Assert.Contains("a device returns it once", again.Message, StringComparison.Ordinal);
            Assert.Throws<InvalidOperationException>(() => chain.Writable.Count);
            // The next chain has the same slot.
            Assert.True(queue.TryTake(out var next));
            Assert.Throws<InvalidOperationException>(() => queue.Return(chain, 0));
            queue.Return(next, 0);
        };
        Submit(1, 2);
        Step();
        Assert.Empty(_queue.Reports);
        Assert.Equal(2, _queue.Completed().Count);
    }

    [Fact]
    public void A_chain_of_another_queue_or_of_none_is_rejected()
    {
        using var device = new ScriptedDevice();
        using var other = new SteppedQueue(device);
        var foreign = default(VirtqueueChain);
        device.Serving = queue => Assert.True(queue.TryTake(out foreign));
        other.Submit(1);
        other.Handler.Step(defersLong: false);
        _device.Serving = queue =>
        {
            Assert.Throws<InvalidOperationException>(() => queue.Return(foreign, 0));
            Assert.Throws<InvalidOperationException>(() => queue.Return(default, 0));
            Assert.Throws<InvalidOperationException>(() => default(VirtqueueChain).Readable.Count);
            // The thread serves this queue, not that one.
            Assert.Throws<InvalidOperationException>(() => foreign.Writable.Count);
        };
        _queue.Wake();
        Step();
        Assert.Empty(_queue.Reports);
    }

    [Fact]
    public void A_queue_and_its_chains_are_used_inside_Serve_and_on_its_thread_only()
    {
        DeviceQueue? kept = null;
        var chain = default(VirtqueueChain);
        _device.Serving = queue =>
        {
            kept = queue;
            Assert.True(queue.TryTake(out chain));
            var elsewhere = Task.Run(() =>
            {
                Assert.Throws<InvalidOperationException>(() => queue.TryTake(out _));
                Assert.Throws<InvalidOperationException>(() => queue.Return(chain, 0));
                Assert.Throws<InvalidOperationException>(() => chain.Writable.Count);
            });
            // Not Wait, which may run the task on this thread.
            Assert.True(((IAsyncResult)elsewhere).AsyncWaitHandle.WaitOne(60_000));
            elsewhere.GetAwaiter().GetResult();
        };
        Submit(1);
        Step();
        Assert.Empty(_queue.Reports);
        var outside = Assert.Throws<InvalidOperationException>(() => kept!.TryTake(out _));
        Assert.Contains("outside of Serve", outside.Message, StringComparison.Ordinal);
        Assert.Throws<InvalidOperationException>(() => kept!.Return(chain, 0));
        Assert.Throws<InvalidOperationException>(() => chain.Readable.Count);
        Assert.Empty(_queue.Completed());
    }

    [Theory]
    [InlineData("split")]
    [InlineData("packed")]
    public void A_request_allocates_nothing(string layout)
    {
        Use(layout);
        Assert.Equal(0, Allocation.OfHundred(_queue.RoundTrip));
    }
}
