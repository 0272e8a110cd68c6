using VmShunt.Ring.Memory;
using Xunit.Abstractions;

namespace VmShunt.Tests.Ring.Memory;

public class DeviceCallsTests(ITestOutputHelper output)
{
    [Fact]
    public void A_call_is_abandoned_while_it_lasts_and_not_between_two()
    {
        var stopping = new SharedFlag();
        var calls = new DeviceCalls(stopping);
        calls.Enter();
        Assert.True(calls.TryLeave());
        stopping.Raise();
        Assert.False(calls.TryAbandon());
        calls.Enter();
        Assert.True(calls.TryLeave());
        calls.Enter();
        Assert.True(calls.TryAbandon());
        Assert.False(calls.TryLeave());
        Assert.True(calls.IsAbandoned);
    }

    /// <summary>The thread that makes the calls and the one that abandons them agree on who has the ring.</summary>
    [Fact]
    public void Both_threads_agree()
    {
        var abandoned = 0;
        for (var round = 0; round < 200; round++)
        {
            var stopping = new SharedFlag();
            var calls = new DeviceCalls(stopping);
            bool hasStarted = false, isOver = false, isLost = false;
            var touched = 0L;
            // A short call is seldom in progress when it is to be abandoned, a long one often.
            var work = round % 2 * 20_000;
            var worker = new Thread(() =>
            {
                Ordered.Store(ref hasStarted, true);
                while (!isLost && !stopping.IsRaised)
                {
                    calls.Enter();
                    Thread.SpinWait(work);
                    if (calls.TryLeave()) touched++;
                    else isLost = true;
                }
                Ordered.Store(ref isOver, true);
            });
            worker.Start();
            while (!Ordered.Load(ref hasStarted)) Thread.SpinWait(1);
            Thread.SpinWait(round % 50);
            stopping.Raise();
            var isAbandoned = calls.TryAbandon();
            var then = Ordered.Load(ref touched);
            worker.Join();
            Assert.True(isOver);
            Assert.Equal(isAbandoned, isLost);
            if (!isAbandoned) continue;
            abandoned++;
            Assert.Equal(then, touched);
        }
        output.WriteLine($"{abandoned} of 200 rounds abandoned a call");
        Assert.NotEqual(0, abandoned);
    }
}
