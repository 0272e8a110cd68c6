using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>When a ring is started, enabled, disabled, stopped and reset (vhost-user, "Ring states").</summary>
public sealed class RingStateTests : SessionTests
{
    [Fact]
    public void A_ring_is_served_only_while_it_is_enabled()
    {
        Serve();
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 0));
        Assert.Equal(0, Backend.Device.Running);
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 0));
        Client.Submit("waits");
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
        Client.Complete("waits");
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
        Client.Echo("still served");
        Assert.Equal(2u, Frontend.GetVringBase(0).Value - 1);
        Assert.Equal(0, Backend.Device.Running);
    }

    [Fact]
    public void Without_the_protocol_features_bit_the_kick_descriptor_starts_a_ring()
    {
        Assert.True(Frontend.Ask(VhostUserRequest.SetFeatures, Version1));
        Assert.True(Frontend.Ask(VhostUserRequest.SetMemTable, RawFrontend.Table(1, Region(0, 0x2_0000)), Ram.File));
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringNum, 0, 16));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringAddr, Client.Address));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringCall, 0ul, Client.Call.Handle));
        Assert.Equal(0, Backend.Device.Running);
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringKick, 0ul, Client.Kick.Handle));
        Client.Echo("hello");
    }

    [Fact]
    public void The_stop_of_a_ring_that_never_ran_returns_its_base()
    {
        Assert.Equal(0u, Frontend.GetVringBase(1).Value);
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringBase, 1, 65_535));
        Assert.Equal((1u, 65_535u), (Frontend.GetVringBase(1).Index, Frontend.GetVringBase(1).Value));
    }

    [Theory]
    [InlineData(VhostUserRequest.ResetDevice)]
    [InlineData(VhostUserRequest.ResetOwner)]
    [InlineData(VhostUserRequest.SetStatus)]
    public void A_reset_stops_every_ring_and_clears_its_base(VhostUserRequest request)
    {
        Serve();
        Assert.True(Frontend.Ask(VhostUserRequest.SetStatus, 0xful));
        Assert.Equal(0xful, Frontend.Query(VhostUserRequest.GetStatus));
        Assert.True(request == VhostUserRequest.SetStatus ? Frontend.Ask(request, 0ul) : Frontend.Ask(request, []));
        Assert.Equal(0, Backend.Device.Running);
        Assert.Equal(0ul, Frontend.Query(VhostUserRequest.GetStatus));
        Assert.Equal(0u, Frontend.GetVringBase(0).Value);
        Assert.Equal(1, Descriptors.Of(Client.Kick.Handle));
        Assert.Equal(1, Descriptors.Of(Client.Call.Handle));
    }

    [Fact]
    public void A_broken_ring_signals_its_error_eventfd_and_works_after_a_restart()
    {
        using var error = EventFd.Create();
        using var wait = new WaitSet(error.Handle);
        Serve();
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringErr, 0ul, error.Handle));
        var available = Ram.Window(Client.Address.Available, 4);
        var index = available.Read<ushort>(2);
        available.WriteUInt16Release(2, (ushort)(index + 100));
        Client.Kick.Signal();
        Assert.True(wait.Wait(60_000));
        var position = Frontend.GetVringBase(0).Value;
        Assert.Equal(index, position);
        available.WriteUInt16Release(2, index);
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringBase, 0, position));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringCall, 0ul, Client.Call.Handle));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringKick, 0ul, Client.Kick.Handle));
        Client.Echo("restarted");
    }

    [Fact]
    public void A_ring_starts_stopped_and_disabled()
    {
        Configure();
        Assert.Equal(0, Backend.Device.Running);
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringKick, 0ul, Client.Kick.Handle));
        Assert.Equal(0, Backend.Device.Running);
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
        Assert.Equal(1, Backend.Device.Running);
    }

    [Fact]
    public void A_running_ring_uses_the_kick_and_call_eventfds_that_replace_its_own()
    {
        Serve();
        using EventFd kick = EventFd.Create(), call = EventFd.Create();
        using var called = new WaitSet(call.Handle);
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringCall, 0ul, call.Handle));
        Client.Submit("called elsewhere");
        Assert.True(called.Wait(60_000));
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringCall, 0ul, Client.Call.Handle));
        Client.Complete("called elsewhere");
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringKick, 0ul, kick.Handle));
        Client.Submit("kicked elsewhere");
        kick.Signal();
        Client.Complete("kicked elsewhere");
    }

    [Fact]
    public void A_ring_is_stopped_only_after_its_popped_chains_are_returned()
    {
        using var processing = new ManualResetEventSlim();
        using var popped = new ManualResetEventSlim();
        Serve();
        Backend.Device.Processing = () =>
        {
            popped.Set();
            processing.Wait(60_000);
        };
        Client.Submit("in flight");
        Assert.True(popped.Wait(60_000));
        Frontend.Say(VhostUserRequest.GetVringBase, new byte[8]);
        processing.Set();
        Frontend.AssertReply(VhostUserRequest.GetVringBase);
        Assert.Equal(2, Ram.Window(Client.Address.Used, 4).Read<ushort>(2));
        Client.Complete("in flight");
    }

    [Fact]
    public void With_STATUS_a_ring_is_served_only_after_DRIVER_OK()
    {
        const ulong acknowledge = 1, driver = 2, driverOk = 4, featuresOk = 8;
        Assert.True(Frontend.Ask(VhostUserRequest.SetProtocolFeatures, (ulong)VhostUserProtocolFeatures.Status));
        Configure();
        Assert.True(Frontend.Ask(VhostUserRequest.SetVringKick, 0ul, Client.Kick.Handle));
        Assert.True(Frontend.AskRing(VhostUserRequest.SetVringEnable, 0, 1));
        Assert.True(Frontend.Ask(VhostUserRequest.SetStatus, acknowledge | driver | featuresOk));
        Assert.Equal(acknowledge | driver | featuresOk, Frontend.Query(VhostUserRequest.GetStatus));
        Assert.Equal(0, Backend.Device.Running);
        Assert.True(Frontend.Ask(VhostUserRequest.SetStatus, acknowledge | driver | featuresOk | driverOk));
        Client.Echo("hello");
    }
}
