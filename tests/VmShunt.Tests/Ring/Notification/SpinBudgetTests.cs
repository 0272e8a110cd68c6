using VmShunt.Ring.Notification;

namespace VmShunt.Tests.Ring.Notification;

public sealed class SpinBudgetTests
{
    private const int ManyLooks = 100_000;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_adaptive_waiter_sleeps_in_the_end_and_looks_again_after_work(bool keepsCore)
    {
        var budget = new SpinBudget(WaitPolicy.Adaptive, TimeSpan.FromMicroseconds(50), mayMove: false) { KeepsCore = keepsCore };
        for (var i = 0; i < 3; i++)
        {
            Assert.True(budget.TrySpin());
            while (budget.TrySpin())
            {
            }
            budget.Refill();
        }
    }

    [Theory]
    [InlineData(WaitPolicy.Busy, true, false)]
    [InlineData(WaitPolicy.Busy, true, true)]
    [InlineData(WaitPolicy.Never, false, false)]
    [InlineData(WaitPolicy.Never, false, true)]
    public void A_busy_waiter_always_looks_again_and_one_that_never_spins_does_not(WaitPolicy policy, bool looksAgain, bool keepsCore)
    {
        var budget = new SpinBudget(policy, TimeSpan.FromMicroseconds(1), mayMove: false) { KeepsCore = keepsCore };
        for (var i = 0; i < ManyLooks; i++) Assert.Equal(looksAgain, budget.TrySpin());
    }
}
