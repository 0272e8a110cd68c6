using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;

namespace VmShunt.Tests.Ring.Interop;

public class EventFdTests
{
    [Fact]
    public void Signals_coalesce_until_the_eventfd_is_drained()
    {
        using var eventFd = EventFd.Create();
        Assert.False(eventFd.TryDrain());
        for (var i = 0; i < 100; i++) eventFd.Signal();
        Assert.True(eventFd.TryDrain());
        Assert.False(eventFd.TryDrain());
    }

    [Fact]
    public void Signalling_a_full_counter_does_not_block_and_is_not_lost()
    {
        using var eventFd = EventFd.Create();
        // One below the maximum: a blocking signal would wait.
        using (var raw = new FileStream(new Microsoft.Win32.SafeHandles.SafeFileHandle(eventFd.Handle.DangerousGetHandle(), ownsHandle: false), FileAccess.Write, 0))
            raw.Write(BitConverter.GetBytes(ulong.MaxValue - 1));
        eventFd.Signal();
        Assert.True(eventFd.TryDrain());
        Assert.False(eventFd.TryDrain());
    }

    [Fact]
    public void An_eventfd_from_a_peer_is_the_same_counter()
    {
        using var mine = EventFd.Create();
        var (one, other) = UnixConnection.CreatePair();
        using (one)
        using (other)
        using (var descriptors = new DescriptorQueue())
        {
            one.Send("x"u8, [mine.Handle]);
            Assert.True(other.ReceiveExactly(new byte[1], descriptors));
            Assert.True(descriptors.TryTake(out var descriptor));
            Assert.True(EventFd.TryFromPeer(descriptor, out var theirs));
            using (theirs)
            {
                theirs.Signal();
                Assert.True(mine.TryDrain());
                mine.Signal();
                Assert.True(theirs.TryDrain());
                Assert.False(mine.TryDrain());
            }
        }
    }

    [Fact]
    public void A_descriptor_that_is_not_an_eventfd_is_closed()
    {
        var file = SharedMemoryFile.Create("test", 4096);
        Assert.False(EventFd.TryFromPeer(file, out var eventFd));
        Assert.Null(eventFd);
        Assert.True(file.IsClosed);
        var (one, other) = UnixConnection.CreatePair();
        using (one)
        {
            Assert.False(EventFd.TryFromPeer((Microsoft.Win32.SafeHandles.SafeFileHandle)other.Handle, out _));
            // The socket is closed, so its peer reads end-of-file.
            Assert.Equal(0, one.Receive(new byte[1]));
        }
    }

    [Fact]
    public void Signalling_and_draining_allocate_nothing()
    {
        using var eventFd = EventFd.Create();
        using var wait = new WaitSet(eventFd.Handle);
        Work();
        var before = GC.GetAllocatedBytesForCurrentThread();
        Work();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void Work()
        {
            for (var i = 0; i < 1000; i++)
            {
                eventFd.Signal();
                wait.Wait();
                eventFd.TryDrain();
                wait.Wait(0);
            }
        }
    }
}
