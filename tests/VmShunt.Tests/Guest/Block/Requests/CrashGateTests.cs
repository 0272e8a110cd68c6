using VmShunt.BlockDriver.Requests;

namespace VmShunt.Tests.Guest.Block.Requests;

public class CrashGateTests
{
    [Fact]
    public void A_crash_waits_for_running_threads_to_park_and_not_for_idle_ones()
    {
        var crash = new CrashGate();
        using var both = new CountdownEvent(2);
        Start(crash, both, isIdle: false);
        Start(crash, both, isIdle: true);
        both.Wait();
        Assert.True(crash.TryRaise());
        crash.WaitForParked(60_000);
        Assert.Equal(1, crash.Parked);
    }

    [Fact]
    public void Only_the_first_of_many_crashes_runs()
    {
        var crash = new CrashGate();
        var first = 0;
        Parallel.For(0, 100, _ =>
        {
            if (crash.TryRaise()) Interlocked.Increment(ref first);
        });
        Assert.Equal(1, first);
        Assert.True(crash.IsCrashed);
    }

    [Fact]
    public void A_thread_that_hangs_does_not_hold_up_the_crash_for_ever()
    {
        var crash = new CrashGate();
        using var entered = new ManualResetEventSlim();
        new Thread(() =>
        {
            crash.Enter();
            entered.Set();
            Thread.Sleep(Timeout.Infinite);
        })
        { IsBackground = true }.Start();
        entered.Wait();
        crash.TryRaise();
        crash.WaitForParked(20);
        Assert.Equal(0, crash.Parked);
    }

    private static void Start(CrashGate crash, CountdownEvent started, bool isIdle) => new Thread(() =>
    {
        crash.Enter();
        if (isIdle) crash.Leave();
        started.Signal();
        while (true)
        {
            if (!isIdle) crash.ParkIfCrashed();
            Thread.Sleep(1);
        }
    })
    { IsBackground = true }.Start();
}
