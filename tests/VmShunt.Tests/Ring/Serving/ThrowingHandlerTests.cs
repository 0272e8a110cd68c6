using System.Collections.Concurrent;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Serving;
using VmShunt.Ring.VhostUser;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.Serving;

/// <summary>A ring whose handler throws where no request reports it: the ring is broken, its stop returns, and other rings are served.</summary>
public sealed class ThrowingHandlerTests : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private readonly TestMemory _ram = new(1 << 16);
    private readonly ConcurrentQueue<string> _broken = new();

    public void Dispose() => _ram.Dispose();

    [Theory]
    [InlineData("step", 0)]
    [InlineData("step", 1)]
    [InlineData("arm", 0)]
    [InlineData("arm", 1)]
    [InlineData("disarm", 0)]
    [InlineData("disarm", 1)]
    [InlineData("publish", 1)]
    public void A_handler_that_throws_breaks_its_ring(string where, int pollers)
    {
        using var groups = new PollGroups(pollers, WaitPolicy.Never);
        using var good = new Handler(_ram, "");
        using var bad = new Handler(_ram, where);
        var goodRing = good.Start(WaitPolicy.Never, pollers == 0 ? null : groups, _broken.Enqueue);
        var badRing = bad.Start(WaitPolicy.Never, pollers == 0 ? null : groups, _broken.Enqueue);
        bad.Kick.Signal();
        Assert.True(SpinWait.SpinUntil(() => !_broken.IsEmpty, s_patience), "the fault is reported");
        Assert.Equal([$"serving it failed: {where} failed"], _broken);
        Assert.True(SpinWait.SpinUntil(bad.Error.TryDrain, s_patience), "the driver is notified");
        var before = good.Steps;
        good.Kick.Signal();
        Assert.True(SpinWait.SpinUntil(() => good.Steps > before, s_patience), "the other ring is served");
        Assert.Equal(7u, badRing.Stop());
        Assert.Equal(7u, goodRing.Stop());
        Assert.Equal((1, 1), (bad.Closes, good.Closes));
    }

    [Theory]
    [InlineData("drain", 0)]
    [InlineData("drain", 1)]
    [InlineData("close", 0)]
    [InlineData("close", 1)]
    public void A_handler_that_throws_at_its_end_does_not_keep_the_stop(string where, int pollers)
    {
        using var groups = new PollGroups(pollers, WaitPolicy.Never);
        using var handler = new Handler(_ram, where);
        var ring = handler.Start(WaitPolicy.Never, pollers == 0 ? null : groups, _broken.Enqueue);
        Assert.Equal(7u, ring.Stop());
        Assert.Empty(_broken);
    }

    private sealed class Handler(TestMemory ram, string throws) : VringHandler(new VringSetup(0, 16, 0, 0, ram.Memory, default, default, default, EventFd.Create(), EventFd.Create(), EventFd.Create(), default)), IDisposable
    {
        private int _steps, _closes;

        internal EventFd Kick => Setup.Kick!;

        internal EventFd Error => Setup.Error!;

        internal int Steps => Ordered.Load(ref _steps);

        internal int Closes => Ordered.Load(ref _closes);

        public override string? Fault => null;

        public override uint Position => 7;

        public override HandlerStep Step(bool defersLong)
        {
            Interlocked.Increment(ref _steps);
            Throw("step");
            // Endless work in a poll group ends in a publication.
            return throws == "publish" && defersLong ? HandlerStep.Worked : HandlerStep.Empty;
        }

        public override bool Arm()
        {
            Throw("arm");
            return false;
        }

        public override void Disarm() => Throw("disarm");

        public override void PublishPending() => Throw("publish");

        public override void Drain() => Throw("drain");

        public override void Close()
        {
            Interlocked.Increment(ref _closes);
            Throw("close");
        }

        public void Dispose()
        {
            Kick.Dispose();
            Setup.Call!.Dispose();
            Error.Dispose();
        }

        private void Throw(string where)
        {
            if (where == throws) throw new InvalidOperationException($"{where} failed");
        }
    }
}
