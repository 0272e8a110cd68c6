using VmShunt.Ring.Notification;

namespace VmShunt.Tests.Ring.Notification;

public sealed class SpinBudgetTests
{
    private const int ManyPolls = 100_000, ManyWaits = 1000;

    private static readonly TimeSpan s_spin = TimeSpan.FromMicroseconds(50);

    [Fact]
    public void An_adaptive_waiter_spins_then_blocks_and_spins_on_while_its_spins_find_work()
    {
        var budget = new SpinBudget(WaitPolicy.Adaptive, s_spin, mayMove: false);
        for (var i = 0; i < ManyWaits; i++)
        {
            Assert.True(budget.TrySpin());
            budget.Refill();
        }
        SpinWithoutWork(ref budget);
        Assert.False(budget.TrySpin());
        budget.Refill();
        Assert.True(budget.TrySpin());
    }

    [Fact]
    public void Where_spins_find_nothing_an_adaptive_waiter_blocks_at_once_and_tries_from_time_to_time()
    {
        var budget = new SpinBudget(WaitPolicy.Adaptive, s_spin, mayMove: false);
        Assert.True(CountSpins(ref budget, ManyWaits) is > 1 and < ManyWaits / 4);
        // A trial that finds work is followed by a spin, and enough of them by spins alone.
        for (var found = 0; found < 20;)
        {
            if (budget.TrySpin()) found++;
            budget.Refill();
        }
        Assert.True(budget.TrySpin());
    }

    [Fact]
    public void A_peer_that_is_notified_sleeps_and_is_worth_a_short_spin_only()
    {
        var budget = new SpinBudget(WaitPolicy.Adaptive, TimeSpan.FromMilliseconds(2), mayMove: false);
        var beside = 0L;
        long Polls(bool notified)
        {
            // The longest of several: a thread that does not run polls less in the same time.
            var longest = 0L;
            for (var i = 0; i < 5; i++)
            {
                for (var work = 0; work < 100; work++)
                {
                    budget.TrySpin();
                    if (notified) beside++;
                    budget.Refill(beside);
                }
                longest = Math.Max(longest, SpinWithoutWork(ref budget));
                budget.Refill();
            }
            return longest;
        }

        var polling = Polls(notified: false);
        var sleeping = Polls(notified: true);
        Assert.InRange(sleeping, 1, polling / 4);
        Assert.InRange(Polls(notified: false), 2 * sleeping, long.MaxValue);
    }

    [Theory]
    [InlineData(WaitPolicy.Busy, true, false)]
    [InlineData(WaitPolicy.Busy, true, true)]
    [InlineData(WaitPolicy.Never, false, false)]
    [InlineData(WaitPolicy.Never, false, true)]
    public void The_busy_policy_always_spins_and_the_never_policy_never_does(WaitPolicy policy, bool spins, bool keepsCore)
    {
        var budget = new SpinBudget(policy, TimeSpan.FromMicroseconds(1), mayMove: false) { KeepsCore = keepsCore };
        for (var i = 0; i < ManyPolls; i++) Assert.Equal(spins, budget.TrySpin());
    }

    private static long SpinWithoutWork(ref SpinBudget budget)
    {
        var polls = 0L;
        while (budget.TrySpin()) polls++;
        return polls;
    }

    private static int CountSpins(ref SpinBudget budget, int waits)
    {
        var spins = 0;
        for (var i = 0; i < waits; i++)
        {
            if (SpinWithoutWork(ref budget) > 0) spins++;
            budget.Refill();
        }
        return spins;
    }
}
