using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>The socket for the back-end's own requests (SET_BACKEND_REQ_FD).</summary>
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

    private bool SetChannel(params ReadOnlySpan<SafeHandle> descriptors) => _frontend.Ask(VhostUserRequest.SetBackendReqFd, [], descriptors);

    private static void AssertConfigChange(VhostUserConnection channel)
    {
        Assert.True(channel.Receive());
        Assert.Equal(VhostUserBackendRequest.ConfigChange, (VhostUserBackendRequest)channel.Header.Request);
        // The message requests no reply.
        Assert.Equal((VhostUserHeader.Version, 0u), (channel.Header.Flags, channel.Header.Size));
    }

    [Fact]
    public void A_channel_is_refused_without_negotiation_or_without_a_socket()
    {
        var (mine, its) = UnixConnection.CreatePair();
        using (mine)
        using (its)
        using (var eventFd = EventFd.Create())
        {
            Assert.False(SetChannel(its.Handle));
            Negotiate();
            Assert.False(SetChannel());
            Assert.False(SetChannel(eventFd.Handle));
            Assert.Equal(1, Descriptors.Of(eventFd.Handle));
            Assert.Equal(1, Descriptors.Of(its.Handle));
            _backend.Backend.NotifyConfigChanged();
            _frontend.AssertAlive();
        }
    }

    [Fact]
    public void A_new_channel_replaces_and_closes_the_old_one()
    {
        Negotiate();
        var (first, its) = UnixConnection.CreatePair();
        Assert.True(SetChannel(its.Handle));
        its.Dispose();
        using var firstChannel = new VhostUserConnection(first);
        _backend.Backend.NotifyConfigChanged();
        AssertConfigChange(firstChannel);

        (var second, its) = UnixConnection.CreatePair();
        Assert.True(SetChannel(its.Handle));
        its.Dispose();
        using var secondChannel = new VhostUserConnection(second);
        Assert.False(firstChannel.Receive());
        _backend.Backend.NotifyConfigChanged();
        AssertConfigChange(secondChannel);

        // The channel is closed with the session.
        _frontend.ShutdownSend();
        Assert.Null(_backend.WaitForEnd());
        Assert.False(secondChannel.Receive());
        _backend.Backend.NotifyConfigChanged();
    }

    [Fact]
    public void Without_CONFIG_a_configuration_change_is_not_notified()
    {
        Negotiate(VhostUserProtocolFeatures.BackendRequests | VhostUserProtocolFeatures.ReplyAck);
        var (mine, its) = UnixConnection.CreatePair();
        Assert.True(SetChannel(its.Handle));
        its.Dispose();
        _backend.Backend.NotifyConfigChanged();
        _frontend.ShutdownSend();
        Assert.Null(_backend.WaitForEnd());
        using var channel = new VhostUserConnection(mine);
        Assert.False(channel.Receive());
    }

    [Fact]
    public void A_channel_that_is_full_or_closed_never_blocks_the_back_end()
    {
        Negotiate();
        var (mine, its) = UnixConnection.CreatePair();
        Assert.True(SetChannel(its.Handle));
        its.Dispose();
        for (var i = 0; i < 10_000; i++) _backend.Backend.NotifyConfigChanged();
        using (var channel = new VhostUserConnection(mine)) AssertConfigChange(channel);
        for (var i = 0; i < 10; i++) _backend.Backend.NotifyConfigChanged();
        _frontend.AssertAlive();
    }

    [Fact]
    public void Passing_the_session_socket_as_channel_ends_the_session()
    {
        // If the back-end kept it, the session would stay open after the front-end exits.
        Negotiate();
        _frontend.Say(VhostUserRequest.SetBackendReqFd, [], _backend.Socket.Handle);
        _frontend.AssertEnded("an end of this session");
    }
}
