using VmShunt.Ring.Interop;

namespace VmShunt.Tests.Ring.Interop;

public class WaitSetTests
{
    [Fact]
    public void A_wait_reports_which_descriptor_is_ready()
    {
        using EventFd first = EventFd.Create(), second = EventFd.Create();
        using var wait = new WaitSet(first.Handle, second.Handle);
        Assert.False(wait.Wait(0));
        Assert.False(wait.IsReady(0) || wait.IsReady(1));
        second.Signal();
        Assert.True(wait.Wait());
        Assert.False(wait.IsReady(0));
        Assert.True(wait.IsReady(1));
        Assert.False(wait.IsHungUp(1) || wait.IsClosed(1));
        first.Signal();
        second.TryDrain();
        Assert.True(wait.Wait(60_000));
        Assert.True(wait.IsReady(0));
        Assert.False(wait.IsReady(1));
    }

    [Fact]
    public void A_signal_from_another_thread_wakes_a_blocked_thread()
    {
        using EventFd ping = EventFd.Create(), pong = EventFd.Create();
        using var wait = new WaitSet(pong.Handle);
        var other = new Thread(() =>
        {
            using var wait = new WaitSet(ping.Handle);
            for (var i = 0; i < 1000; i++)
            {
                wait.Wait();
                ping.TryDrain();
                pong.Signal();
            }
        });
        other.Start();
        for (var i = 0; i < 1000; i++)
        {
            ping.Signal();
            Assert.True(wait.Wait(60_000));
            Assert.True(pong.TryDrain());
        }
        other.Join();
    }

    [Fact]
    public void A_half_closed_socket_differs_from_a_closed_one()
    {
        var (one, other) = UnixConnection.CreatePair();
        using (one)
        using (other)
        {
            using var wait = new WaitSet(one.Handle);
            Assert.False(wait.Wait(0));
            other.Send("x"u8);
            Assert.True(wait.Wait(60_000));
            Assert.False(wait.IsHungUp(0));
            other.ShutdownSend();
            Assert.True(wait.Wait(60_000));
            Assert.True(wait.IsHungUp(0));
            Assert.False(wait.IsClosed(0));
            other.Dispose();
            Assert.True(wait.Wait(60_000));
            Assert.True(wait.IsHungUp(0) && wait.IsClosed(0));
        }
    }

    [Fact]
    public void Descriptors_stay_open_until_the_set_is_disposed()
    {
        var (one, other) = UnixConnection.CreatePair();
        using (other)
        {
            using (var wait = new WaitSet(one.Handle))
            {
                one.Dispose();
                other.Send("x"u8);
                Assert.True(wait.Wait(60_000));
                wait.Dispose();
            }
            Assert.Throws<IOException>(() =>
            {
                for (var i = 0; i < 2; i++) other.Send("x"u8);
            });
        }
    }

    [Fact]
    public void An_empty_set_is_never_ready()
    {
        using var wait = new WaitSet();
        Assert.False(wait.Wait(0));
    }
}
