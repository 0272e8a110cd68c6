using System.Collections.Concurrent;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Serving;
using VmShunt.Tests.Hypervisor;

namespace VmShunt.Tests.Ring.Serving;

public sealed class SessionListenerTests : IDisposable
{
    private readonly string _path = RunningHypervisor.NewSocket();
    private readonly ManualResetEventSlim _workDone = new();

    public void Dispose() => _workDone.Dispose();

    [Fact]
    public void A_withdrawn_socket_rejects_connections_and_closes_a_session_only_when_its_work_is_completed()
    {
        using var listener = new SessionListener(_path, Serve, static _ => { });
        using var peer = UnixConnection.Connect(_path);
        using var end = new WaitSet(peer.Handle);
        peer.Send([1]);
        Assert.Equal(1, peer.Receive(new byte[1]));

        Assert.True(listener.TryWithdraw());
        Assert.False(listener.TryWithdraw());
        Assert.Throws<IOException>(() => UnixConnection.Connect(_path));
        Assert.Throws<IOException>(() => peer.Send([1]));
        Assert.False(end.Wait(0));
        _workDone.Set();
        Assert.True(end.Wait() && end.IsHungUp(0));

        Assert.True(listener.TryListen());
        Assert.False(listener.TryListen());
        using var again = UnixConnection.Connect(_path);
        again.Send([1]);
        Assert.Equal(1, again.Receive(new byte[1]));
    }

    [Fact]
    public void A_service_that_throws_ends_its_session_with_a_line_and_no_other()
    {
        var lines = new BlockingCollection<string>();
        using var listener = new SessionListener(_path, _ => throw new InvalidOperationException("as the test says"), refused: lines.Add);
        for (var i = 0; i < 2; i++)
        {
            using var peer = UnixConnection.Connect(_path);
            Assert.True(lines.TryTake(out var line, TimeSpan.FromSeconds(60)));
            Assert.Equal("a session ended, because its service threw InvalidOperationException: as the test says", line);
        }
    }

    [Fact]
    public void A_listener_is_not_disposed_on_a_thread_of_its_session()
    {
        var errors = new BlockingCollection<Exception?>();
        SessionListener? listener = null;
        using (listener = new SessionListener(_path, _ =>
        {
            ServingThread.Start(() => errors.Add(Record.Exception(listener!.Dispose)), "test").Join();
            errors.Add(Record.Exception(listener!.Dispose));
        }))
        {
            Assert.False(listener.IsOnOwnThread);
            using var peer = UnixConnection.Connect(_path);
            for (var i = 0; i < 2; i++)
            {
                Assert.True(errors.TryTake(out var error, TimeSpan.FromSeconds(60)));
                Assert.Contains("dispose it on another thread", Assert.IsType<InvalidOperationException>(error).Message, StringComparison.Ordinal);
            }
        }
    }

    // A session like VM-H's: it replies, and completes its work after the peer's last message.
    private void Serve(UnixConnection connection)
    {
        var message = new byte[1];
        while (connection.Receive(message) > 0) connection.Send(message);
        _workDone.Wait();
        connection.Dispose();
    }
}
