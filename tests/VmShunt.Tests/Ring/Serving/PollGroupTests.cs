using VmShunt.Ring.Notification;
using VmShunt.Ring.Serving;

namespace VmShunt.Tests.Ring.Serving;

/// <summary>The visits of a poll group to its rings.</summary>
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
        var group = new PollGroup(policy);
        foreach (var ring in _rings)
        {
            group.Assign();
            group.Add(ring);
        }
        return group;
    }

    private async Task EndAsync(PollGroup group)
    {
        foreach (var ring in _rings.Where(ring => !ring.OnOwnThread.Task.IsCompleted))
        {
            ring.Stop(group);
            await ring.Finished.Task.WaitAsync(s_patience);
        }
        group.Dispose();
    }

    private static void Until(Func<bool> condition, string what) => Assert.True(SpinWait.SpinUntil(condition, s_patience), what);

    private int Visits => _rings.Sum(ring => ring.Visits);

    /// <summary>Waits until every ring is armed and none is visited any more.</summary>
    private void AwaitBlocked()
    {
        Until(() => _rings.TrueForAll(ring => ring.Arms > 0 && ring.WantsKick), "every ring is armed");
        var visits = -1;
        Until(
            () =>
            {
                var before = visits;
                visits = Visits;
                Thread.Sleep(20);
                return before == visits;
            },
            "the group's thread blocks");
    }

    [Theory]
    [InlineData("adaptive")]
    [InlineData("never")]
    public async Task Idle_rings_are_not_visited_and_a_kick_wakes_its_own_ring_only(string policy)
    {
        var group = Start(Enum.Parse<WaitPolicy>(policy, ignoreCase: true));
        AwaitBlocked();
        var before = _rings.ConvertAll(ring => (ring.Visits, ring.Arms));
        _rings[17].AddWork(1);
        Until(() => _rings[17].Pending == 0, "the kicked ring is served");
        AwaitBlocked();
        Assert.True(_rings[17].Visits > before[17].Visits);
        for (var i = 0; i < Rings; i++)
        {
            if (i != 17) Assert.Equal(before[i].Arms, _rings[i].Arms);
        }
        await EndAsync(group);
    }

    [Fact]
    public async Task Idle_rings_are_visited_rarely_while_another_is_busy_and_need_no_kick()
    {
        const int work = 200_000;
        var group = Start(WaitPolicy.Busy);
        // Counted by the group's thread when the work is completed: later visits do not count.
        var done = new TaskCompletionSource<(int Busy, int Quiet)>(TaskCreationOptions.RunContinuationsAsynchronously);
        _rings[0].OnWork = () =>
        {
            if (_rings[0].Pending == 0) done.TrySetResult((_rings[0].Visits, _rings.Skip(1).Sum(static ring => ring.Visits - 256)));
        };
        _rings[0].AddWork(work);
        var (busy, quiet) = await done.Task.WaitAsync(s_patience);
        _rings[0].OnWork = null;
        // New rings are active at first; after that a round visits three idle rings and the busy one.
        Assert.InRange(quiet, 0, 3 * busy);
        foreach (var ring in _rings) ring.AddWork(3);
        Until(() => _rings.TrueForAll(ring => ring.Pending == 0), "idle rings are served");
        Assert.All(_rings, ring => Assert.Equal(0, ring.Arms));
        await EndAsync(group);
    }

    [Theory]
    [InlineData("adaptive")]
    [InlineData("never")]
    [InlineData("busy")]
    public async Task Work_that_becomes_available_at_any_moment_is_done(string policy)
    {
        var group = Start(Enum.Parse<WaitPolicy>(policy, ignoreCase: true));
        var seed = Random.Shared.Next();
        var random = new Random(seed);
        for (var i = 0; i < 20_000; i++)
        {
            var ring = _rings[random.Next(Rings)];
            ring.AddWork(1 + random.Next(3));
            if (random.Next(100) == 0) Until(() => _rings.TrueForAll(one => one.Pending == 0), $"all work is processed (seed {seed}, step {i})");
        }
        Until(() => _rings.TrueForAll(one => one.Pending == 0), $"all work is processed (seed {seed})");
        await EndAsync(group);
    }

    [Fact]
    public async Task An_unsuitable_ring_leaves_the_group_and_the_others_are_served()
    {
        var group = Start(WaitPolicy.Adaptive);
        for (var i = 0; i < Rings; i += 3)
        {
            _rings[i].BecomesUnsuitable = true;
            _rings[i].AddWork(2);
        }
        for (var i = 0; i < Rings; i += 3) await _rings[i].OnOwnThread.Task.WaitAsync(s_patience);
        for (var i = 0; i < Rings; i++)
        {
            if (i % 3 == 0) Assert.Equal(1, _rings[i].Pending);
            else _rings[i].AddWork(2);
        }
        Until(() => _rings.Where((_, i) => i % 3 != 0).All(ring => ring.Pending == 0), "the others are served");
        await EndAsync(group);
    }

    [Fact]
    public async Task Serving_and_blocking_allocate_nothing()
    {
        var group = Start(WaitPolicy.Never);
        var ring = _rings[5];
        long first = 0, last = 0;
        var worked = 0;
        ring.OnWork = () =>
        {
            worked++;
            if (worked == 1000) first = GC.GetAllocatedBytesForCurrentThread();
            if (worked == 3000) last = GC.GetAllocatedBytesForCurrentThread();
        };
        for (var i = 0; i < 3000; i++)
        {
            ring.AddWork(1);
            Until(() => ring.Pending == 0, "the ring is served");
        }
        await EndAsync(group);
        Assert.Equal(3000, worked);
        Assert.Equal(first, last);
    }

    [Fact]
    public void A_ring_is_assigned_to_the_poll_group_with_the_fewest_rings()
    {
        using var none = new PollGroups(0, WaitPolicy.Never);
        Assert.Null(none.TryAssign());
        using var pollers = new PollGroups(3, WaitPolicy.Never);
        var nine = Enumerable.Range(0, 9).Select(_ => pollers.TryAssign()!).ToList();
        Assert.All(nine.CountBy(group => group), pair => Assert.Equal(3, pair.Value));
        nine[4].Release(_rings[0]);
        Assert.Same(nine[4], pollers.TryAssign());
    }
}
