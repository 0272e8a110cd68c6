using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>The socket for the back-end's own requests (SET_BACKEND_REQ_FD), in honest hands and others.</summary>
public sealed class BackendChannelTests : IDisposable
{
    private readonly ServedBackend _backend = new();
    private readonly RawFrontend _frontend;

    public BackendChannelTests() => _frontend = new RawFrontend(_backend);

    public void Dispose()
    {
        _frontend.Dispose();
        _backend.Dispose();
    }

    private void Negotiate(VhostUserProtocolFeatures features = VhostUserProtocolFeatures.BackendRequests | VhostUserProtocolFeatures.Config | VhostUserProtocolFeatures.ReplyAck) =>
        Assert.True(_frontend.Ask(VhostUserRequest.SetProtocolFeatures, (ulong)features));

    private bool Give(params ReadOnlySpan<SafeHandle> descriptors) => _frontend.Ask(VhostUserRequest.SetBackendReqFd, [], descriptors);

    private static void AssertTold(VhostUserConnection channel)
    {
        Assert.True(channel.Receive());
        Assert.Equal(VhostUserBackendRequest.ConfigChange, (VhostUserBackendRequest)channel.Header.Request);
        // No reply is asked for, so none has to be waited for.
        Assert.Equal((VhostUserHeader.Version, 0u), (channel.Header.Flags, channel.Header.Size));
    }

    [Fact]
    public void It_is_refused_where_it_was_not_negotiated_or_is_no_socket()
    {
        var (mine, its) = UnixConnection.CreatePair();
        using (mine)
        using (its)
        using (var eventFd = EventFd.Create())
        {
            Assert.False(Give(its.Handle));
            Negotiate();
            Assert.False(Give());
            Assert.False(Give(eventFd.Handle));
            Assert.Equal(1, Descriptors.Of(eventFd.Handle));
            Assert.Equal(1, Descriptors.Of(its.Handle));
            _backend.Backend.NotifyConfigChanged();
            _frontend.AssertAlive();
        }
    }

    [Fact]
    public void The_last_one_given_is_told_and_the_one_before_is_closed()
    {
        Negotiate();
        var (first, its) = UnixConnection.CreatePair();
        Assert.True(Give(its.Handle));
        its.Dispose();
        using var firstChannel = new VhostUserConnection(first);
        _backend.Backend.NotifyConfigChanged();
        AssertTold(firstChannel);

        (var second, its) = UnixConnection.CreatePair();
        Assert.True(Give(its.Handle));
        its.Dispose();
        using var secondChannel = new VhostUserConnection(second);
        Assert.False(firstChannel.Receive());
        _backend.Backend.NotifyConfigChanged();
        AssertTold(secondChannel);

        // It is gone with the session.
        _frontend.ShutdownSend();
        Assert.Null(_backend.WaitForEnd());
        Assert.False(secondChannel.Receive());
        _backend.Backend.NotifyConfigChanged();
    }

    [Fact]
    public void Without_CONFIG_there_is_nothing_to_tell()
    {
        Negotiate(VhostUserProtocolFeatures.BackendRequests | VhostUserProtocolFeatures.ReplyAck);
        var (mine, its) = UnixConnection.CreatePair();
        Assert.True(Give(its.Handle));
        its.Dispose();
        _backend.Backend.NotifyConfigChanged();
        _frontend.ShutdownSend();
        Assert.Null(_backend.WaitForEnd());
        using var channel = new VhostUserConnection(mine);
        Assert.False(channel.Receive());
    }

    [Fact]
    public void A_front_end_that_does_not_read_or_has_closed_holds_nobody_up()
    {
        Negotiate();
        var (mine, its) = UnixConnection.CreatePair();
        Assert.True(Give(its.Handle));
        its.Dispose();
        for (var i = 0; i < 10_000; i++) _backend.Backend.NotifyConfigChanged();
        using (var channel = new VhostUserConnection(mine)) AssertTold(channel);
        for (var i = 0; i < 10; i++) _backend.Backend.NotifyConfigChanged();
        _frontend.AssertAlive();
    }

    [Fact]
    public void A_front_end_that_gives_its_own_end_of_the_session_loses_the_session()
    {
        // Held by the back-end, it would keep the session from ending with the front-end.
        Negotiate();
        _frontend.Say(VhostUserRequest.SetBackendReqFd, [], _backend.Socket.Handle);
        _frontend.AssertEnded("an end of this very session");
    }
}
