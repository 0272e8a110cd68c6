using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Ring.Memory;

public class SharedFlagTests
{
    [Fact]
    public void A_thread_that_sees_the_flag_raised_sees_earlier_writes()
    {
        SharedFlag ping = new(), pong = new();
        var number = 0;
        var other = new Thread(() =>
        {
            for (var i = 1; i <= 2_000; i++)
            {
                SpinWait.SpinUntil(() => ping.IsRaised);
                ping.Lower();
                number++;
                pong.Raise();
            }
        });
        other.Start();
        for (var i = 1; i <= 2_000; i++)
        {
            number++;
            ping.Raise();
            SpinWait.SpinUntil(() => pong.IsRaised);
            pong.Lower();
            Assert.Equal(2 * i, number);
        }
        other.Join();
        Assert.False(ping.IsRaised || pong.IsRaised);
    }
}
