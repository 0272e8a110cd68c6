using VmShunt.HostPartition.VirtioBlk.Serving;
using VmShunt.Ring.Notification;

namespace VmShunt.Tests.HostPartition.VirtioBlk.Serving;

/// <summary>How a poller goes round its rings, counted in visits.</summary>
public sealed class PollGroupTests : IDisposable
{
    private const int Rings = 64;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private readonly List<ScriptedRing> _rings = [.. Enumerable.Range(0, Rings).Select(_ => new ScriptedRing())];

    public void Dispose()
    {
        foreach (var ring in _rings) ring.Dispose();
    }

    private PollGroup Start(WaitPolicy policy)
    {
        var poller = new PollGroup(policy);
        foreach (var ring in _rings)
        {
            poller.Assign();
            poller.Add(ring);
        }
        return poller;
    }

    private async Task EndAsync(PollGroup poller)
    {
        foreach (var ring in _rings.Where(ring => !ring.Alone.Task.IsCompleted))
        {
            ring.Stop(poller);
            await ring.Finished.Task.WaitAsync(s_patience);
        }
        poller.Dispose();
    }

    private static void Until(Func<bool> condition, string what) => Assert.True(SpinWait.SpinUntil(condition, s_patience), what);

    private int Visits => _rings.Sum(ring => ring.Visits);

    /// <summary>Every ring is armed, and nobody is visited any more.</summary>
    private void AwaitSleep()
    {
        Until(() => _rings.TrueForAll(ring => ring.Arms > 0 && ring.IsArmed), "every ring is armed");
        var visits = -1;
        Until(
            () =>
            {
                var before = visits;
                visits = Visits;
                Thread.Sleep(20);
                return before == visits;
            },
            "the poller sleeps");
    }

    [Theory]
    [InlineData("adaptive")]
    [InlineData("never")]
    public async Task Rings_without_work_are_left_alone_and_a_kick_concerns_the_kicked_one_only(string policy)
    {
        var poller = Start(Enum.Parse<WaitPolicy>(policy, ignoreCase: true));
        AwaitSleep();
        var before = _rings.ConvertAll(ring => (ring.Visits, ring.Arms));
        _rings[17].Give(1);
        Until(() => _rings[17].Left == 0, "the kicked ring is served");
        AwaitSleep();
        Assert.True(_rings[17].Visits > before[17].Visits);
        for (var i = 0; i < Rings; i++)
        {
            if (i != 17) Assert.Equal(before[i].Arms, _rings[i].Arms);
        }
        await EndAsync(poller);
    }

    [Fact]
    public async Task Quiet_rings_cost_next_to_nothing_beside_a_busy_one_and_are_found_without_a_kick()
    {
        const int work = 200_000;
        var poller = Start(WaitPolicy.Busy);
        // Counted by the poller's own thread when the work is done: it goes on while this thread looks.
        var done = new TaskCompletionSource<(int Busy, int Quiet)>(TaskCreationOptions.RunContinuationsAsynchronously);
        _rings[0].AtWork = () =>
        {
            if (_rings[0].Left == 0) done.TrySetResult((_rings[0].Visits, _rings.Skip(1).Sum(static ring => ring.Visits - 256)));
        };
        _rings[0].Give(work);
        var (busy, quiet) = await done.Task.WaitAsync(s_patience);
        _rings[0].AtWork = null;
        // As long as they are new they are visited each time; after that three of them are visited for one visit of the busy one.
        Assert.InRange(quiet, 0, 3 * busy);
        foreach (var ring in _rings) ring.Give(3);
        Until(() => _rings.TrueForAll(ring => ring.Left == 0), "rings that were quiet are served");
        Assert.All(_rings, ring => Assert.Equal(0, ring.Arms));
        await EndAsync(poller);
    }

    [Theory]
    [InlineData("adaptive")]
    [InlineData("never")]
    [InlineData("busy")]
    public async Task Work_that_comes_at_any_moment_is_done(string policy)
    {
        var poller = Start(Enum.Parse<WaitPolicy>(policy, ignoreCase: true));
        var seed = Random.Shared.Next();
        var random = new Random(seed);
        for (var i = 0; i < 20_000; i++)
        {
            var ring = _rings[random.Next(Rings)];
            ring.Give(1 + random.Next(3));
            if (random.Next(100) == 0) Until(() => _rings.TrueForAll(one => one.Left == 0), $"all work is done (seed {seed}, step {i})");
        }
        Until(() => _rings.TrueForAll(one => one.Left == 0), $"all work is done (seed {seed})");
        await EndAsync(poller);
    }

    [Fact]
    public async Task One_that_is_unsuitable_leaves_and_the_others_are_served()
    {
        var poller = Start(WaitPolicy.Adaptive);
        for (var i = 0; i < Rings; i += 3)
        {
            _rings[i].BecomesUnsuitable = true;
            _rings[i].Give(2);
        }
        for (var i = 0; i < Rings; i += 3) await _rings[i].Alone.Task.WaitAsync(s_patience);
        for (var i = 0; i < Rings; i++)
        {
            if (i % 3 == 0) Assert.Equal(1, _rings[i].Left);
            else _rings[i].Give(2);
        }
        Until(() => _rings.Where((_, i) => i % 3 != 0).All(ring => ring.Left == 0), "the others are served");
        await EndAsync(poller);
    }

    [Fact]
    public async Task Serving_and_sleeping_allocate_nothing()
    {
        var poller = Start(WaitPolicy.Never);
        var ring = _rings[5];
        long first = 0, last = 0;
        var worked = 0;
        ring.AtWork = () =>
        {
            worked++;
            if (worked == 1000) first = GC.GetAllocatedBytesForCurrentThread();
            if (worked == 3000) last = GC.GetAllocatedBytesForCurrentThread();
        };
        for (var i = 0; i < 3000; i++)
        {
            ring.Give(1);
            Until(() => ring.Left == 0, "the ring is served");
        }
        await EndAsync(poller);
        Assert.Equal(3000, worked);
        Assert.Equal(first, last);
    }

    [Fact]
    public void A_ring_goes_to_the_poller_that_has_the_fewest()
    {
        using var none = new PollGroups(0, WaitPolicy.Never);
        Assert.Null(none.TryAssign());
        using var pollers = new PollGroups(3, WaitPolicy.Never);
        var nine = Enumerable.Range(0, 9).Select(_ => pollers.TryAssign()!).ToList();
        Assert.All(nine.CountBy(poller => poller), pair => Assert.Equal(3, pair.Value));
        nine[4].Release(_rings[0]);
        Assert.Same(nine[4], pollers.TryAssign());
    }
}
