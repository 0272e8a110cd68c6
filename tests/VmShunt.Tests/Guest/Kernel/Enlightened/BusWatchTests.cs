using VmShunt.Guest.Enlightened;
using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Guest.Kernel.Enlightened;

/// <summary>When the guest follows its bus.</summary>
public class BusWatchTests
{
    [Fact]
    public void It_settles_after_a_change_and_retries_until_that_succeeds()
    {
        var runs = 0;
        using var watch = new BusWatch();
        watch.Start(() => Interlocked.Increment(ref runs) % 3 == 0);
        Assert.Equal(0, Ordered.Load(ref runs));
        watch.Note();
        Until(() => Ordered.Load(ref runs) == 3);
        watch.Note();
        Until(() => Ordered.Load(ref runs) == 6);
    }

    [Fact]
    public void After_disposal_it_does_not_settle_any_more()
    {
        var runs = 0;
        var watch = new BusWatch();
        watch.Start(() => Interlocked.Increment(ref runs) > 0);
        watch.Dispose();
        watch.Note();
        Assert.Equal(0, Ordered.Load(ref runs));
    }

    private static void Until(Func<bool> condition) => Assert.True(SpinWait.SpinUntil(condition, TimeSpan.FromSeconds(60)), "not in time");
}
