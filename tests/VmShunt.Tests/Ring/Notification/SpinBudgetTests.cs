using VmShunt.Ring.Notification;

namespace VmShunt.Tests.Ring.Notification;

public sealed class SpinBudgetTests
{
    private const int ManyPolls = 100_000;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_adaptive_waiter_stops_spinning_and_spins_again_after_work(bool keepsCore)
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
    public void The_busy_policy_always_spins_and_the_never_policy_never_does(WaitPolicy policy, bool spins, bool keepsCore)
    {
        var budget = new SpinBudget(policy, TimeSpan.FromMicroseconds(1), mayMove: false) { KeepsCore = keepsCore };
        for (var i = 0; i < ManyPolls; i++) Assert.Equal(spins, budget.TrySpin());
    }
}
